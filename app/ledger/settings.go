package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"mssentinel/app/stix"
)

// TLPLevels are the levels that a query may have in its settings, the least strict first.
var TLPLevels = stix.TLPLevels

// Settings are what a query says of the objects that it gives. Of an object those of the winner's query hold. The zero value says
// nothing.
type Settings struct {
	// MinConfidence is the confidence floor, 0 for none.
	MinConfidence int
	// TTL is how long the objects live, 0 for as long as is right for their type.
	TTL time.Duration
	// Labels are added to those that the objects have.
	Labels []string
	// TLP is the one of TLPLevels with which the objects are marked at least, "" for none.
	TLP string
}

// Equal says that both say the same.
func (s *Settings) Equal(other *Settings) bool {
	return s.MinConfidence == other.MinConfidence && s.TTL == other.TTL && slices.Equal(s.Labels, other.Labels) && s.TLP == other.TLP
}

// Selects says whether an object reaches the confidence floor. One without a confidence reaches none.
func (s *Settings) Selects(i *stix.Indicator) bool {
	return s.MinConfidence == 0 || i.Confidence != nil && *i.Confidence >= s.MinConfidence
}

// ShapeObject makes of an object, as its mapper made it, what the query gives. ttl is the time to live of its type, and leftOut how
// many labels there was no room for.
func (s *Settings) ShapeObject(i *stix.Indicator, now time.Time, ttl time.Duration) (o FoundObject, leftOut int) {
	if i.Created.After(now) {
		i.Created = now
	}
	i.RestrictTo(s.TLP)
	leftOut = i.AddLabels(s.Labels)
	if s.TTL != 0 {
		ttl = s.TTL
	}
	return FoundObject{Indicator: i, ID: stix.ID(i.Pattern), Hash: s.hashContent(i), ValidUntil: now.Add(ttl)}, leftOut
}

// Recipe stands for all that decides what an indicator of one type gives, the indicator itself aside: the settings of its query, and the
// programs that make the object.
type Recipe [sha256.Size]byte

// Recipe is that of the query with these settings and these programs, each named by its checksum.
func (s *Settings) Recipe(programs ...string) Recipe {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.MinConfidence))
	b = binary.BigEndian.AppendUint64(b, uint64(s.TTL))
	for _, list := range [][]string{programs, s.Labels, {s.TLP}} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(list)))
		for _, text := range list {
			b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
		}
	}
	return sha256.Sum256(b)
}

// Fingerprint is that of an indicator, the JSON that ThreatConnect wrote: with the same one it gives the same. It is never 0.
func (r *Recipe) Fingerprint(indicator []byte) int64 {
	var h xxhash.Digest
	h.Reset()
	h.Write(r[:])
	h.Write(indicator)
	return int64(h.Sum64()) | 1
}

// hashContent is the content hash of an object of the query. A time to live that the query has is a part of what it says: another one,
// or another winner, is to reach what stands.
func (s *Settings) hashContent(i *stix.Indicator) uint64 {
	hash := i.ContentHash()
	if s.TTL == 0 {
		return hash
	}
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hash), uint64(s.TTL))
	return xxhash.Sum64(b)
}
