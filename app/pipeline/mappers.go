package pipeline

import (
	"context"
	"time"

	"mssentinel/app/mapping"
	"mssentinel/plugins/mapper"
)

// Mappers turn indicators into objects, each of which passes its Check.
type Mappers interface {
	Types() []mapping.Type
	StartJob()
	Map(ctx context.Context, typ string, indicators [][]byte, now time.Time) ([]mapper.Answer, error)
}

// mapperSet are the installed mappers, with the types that they take and how long objects of each type live.
type mapperSet struct {
	Mappers
	types map[string]mapping.Type
	ttls  map[string]time.Duration
}

func newMapperSet(m Mappers, ttls map[string]time.Duration) *mapperSet {
	s := &mapperSet{Mappers: m, types: map[string]mapping.Type{}, ttls: ttls}
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

// timeToLive is how long an object of the type lives.
func (s *mapperSet) timeToLive(typ string) time.Duration {
	if ttl, set := s.ttls[typ]; set {
		return ttl
	}
	return s.types[typ].DefaultTTL
}
