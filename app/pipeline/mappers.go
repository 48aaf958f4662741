package pipeline

import (
	"context"
	"time"

	"mssentinel/app/ledger"
	"mssentinel/app/mapping"
	"mssentinel/plugins/mapper"
)

// Mappers turn indicators into objects, each of which passes its Check.
type Mappers interface {
	Types() []mapping.Type
	StartJob()
	// Map gives an answer for each indicator. The answers share no memory with the indicators, which is used again.
	Map(ctx context.Context, typ string, indicators [][]byte, now time.Time) ([]mapper.Answer, error)
}

// mapperSet are the installed mappers, with the types that they take and how long objects of each type live.
type mapperSet struct {
	Mappers
	types map[string]mapping.Type
	ttls  map[string]time.Duration
	// build is that of the App, see [Options.Build].
	build string
}

func newMapperSet(m Mappers, ttls map[string]time.Duration, build string) *mapperSet {
	s := &mapperSet{Mappers: m, types: map[string]mapping.Type{}, ttls: ttls, build: build}
	for _, t := range m.Types() {
		s.types[t.Name] = t
	}
	return s
}

// takesType says that a mapper takes ThreatConnect's type.
func (s *mapperSet) takesType(typ string) bool {
	_, taken := s.types[typ]
	return taken
}

// recipe is that of a type for a query with these settings, nil where its indicators are to be mapped each time.
func (s *mapperSet) recipe(typ string, settings *ledger.Settings) *ledger.Recipe {
	checksum := s.types[typ].Checksum
	if checksum == "" || s.build == "" {
		return nil
	}
	recipe := settings.Recipe(s.build, checksum)
	return &recipe
}

// timeToLive is how long an object of the type lives.
func (s *mapperSet) timeToLive(typ string) time.Duration {
	if ttl, set := s.ttls[typ]; set {
		return ttl
	}
	return s.types[typ].DefaultTTL
}
