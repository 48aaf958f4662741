package stix

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Envelope holds the times that are decided when an object is sent.
type Envelope struct {
	// Modified is the time of conversion. Where that lies before Created, since the clock was put back, Created is written.
	Modified time.Time
	// ValidUntil is Modified plus the time to live of the type; it lies after Created.
	ValidUntil time.Time
}

// AppendJSON appends the whole STIX 2.1 object. Times are UTC, in milliseconds.
func (i *Indicator) AppendJSON(dst []byte, e Envelope) []byte {
	modified := e.Modified
	if modified.Before(i.Created) {
		modified = i.Created // Sentinel rejects the object otherwise, app/docs/sentinel.md#members
	}
	dst = appendHead(dst, i.Pattern, i.Created, modified)
	dst = AppendString(append(dst, `,"name":`...), i.Name)
	dst = AppendString(append(dst, `,"description":`...), i.Description)
	dst = appendList(dst, `,"indicator_types":`, i.IndicatorTypes, AppendString)
	dst = appendPattern(dst, i.Pattern, i.Created, e.ValidUntil)
	if i.Confidence != nil {
		dst = strconv.AppendInt(append(dst, `,"confidence":`...), int64(*i.Confidence), 10)
	}
	dst = appendList(dst, `,"labels":`, i.Labels, AppendString)
	dst = appendList(dst, `,"kill_chain_phases":`, i.KillChainPhases, appendPhase)
	dst = appendList(dst, `,"object_marking_refs":`, i.ObjectMarkingRefs, AppendString)
	dst = appendList(dst, `,"external_references":`, i.ExternalReferences, appendReference)
	return append(dst, '}')
}

// Retired is an object that ends the life of one sent before: the same identity, no longer valid.
// It is not revoked, since revocation is final and the value may come back, app/docs/sentinel.md#expiry-and-retirement.
type Retired struct {
	Pattern, Name string
	// Created as last sent.
	Created              time.Time
	ValidUntil, Modified time.Time
}

// AppendJSON appends the object. valid_until is put after valid_from, and modified not before
// created, whatever the clock says: Sentinel rejects the object otherwise, app/docs/sentinel.md#members.
func (r Retired) AppendJSON(dst []byte) []byte {
	created := r.Created.Truncate(time.Millisecond)
	until := r.ValidUntil.Truncate(time.Millisecond)
	if !until.After(created) {
		until = created.Add(time.Millisecond)
	}
	modified := r.Modified
	if modified.Before(created) {
		modified = created
	}
	dst = appendHead(dst, r.Pattern, created, modified)
	dst = AppendString(append(dst, `,"name":`...), r.Name)
	dst = appendPattern(dst, r.Pattern, created, until)
	return append(dst, '}')
}

func appendHead(dst []byte, pattern string, created, modified time.Time) []byte {
	dst = append(dst, `{"type":"indicator","spec_version":"2.1","id":"indicator--`...)
	dst = append(dst, ID(pattern).String()...)
	dst = appendTime(append(dst, `","created":`...), created)
	return appendTime(append(dst, `,"modified":`...), modified)
}

func appendPattern(dst []byte, pattern string, from, until time.Time) []byte {
	dst = AppendString(append(dst, `,"pattern":`...), pattern)
	dst = appendTime(append(dst, `,"pattern_type":"stix","pattern_version":"2.1","valid_from":`...), from)
	dst = appendTime(append(dst, `,"valid_until":`...), until)
	return append(dst, `,"revoked":false`...)
}

func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(append(dst, '"'), time.RFC3339) // a fifth of the time that a layout of one's own takes
	milli := t.Nanosecond() / 1e6
	return append(dst[:len(dst)-len("Z")], '.', '0'+byte(milli/100), '0'+byte(milli/10%10), '0'+byte(milli%10), 'Z', '"')
}

// appendList writes nothing for an empty list: STIX 2.1 forbids empty ones.
func appendList[T any](dst []byte, key string, list []T, one func([]byte, T) []byte) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(dst, key...)
	for n, v := range list {
		if n == 0 {
			dst = append(dst, '[')
		} else {
			dst = append(dst, ',')
		}
		dst = one(dst, v)
	}
	return append(dst, ']')
}

func appendPhase(dst []byte, p KillChainPhase) []byte {
	dst = AppendString(append(dst, `{"kill_chain_name":`...), p.KillChainName)
	dst = AppendString(append(dst, `,"phase_name":`...), p.PhaseName)
	return append(dst, '}')
}

func appendReference(dst []byte, r ExternalReference) []byte {
	dst = AppendString(append(dst, `{"source_name":`...), r.SourceName)
	if r.URL != "" {
		dst = AppendString(append(dst, `,"url":`...), r.URL)
	}
	if r.ExternalID != "" {
		dst = AppendString(append(dst, `,"external_id":`...), r.ExternalID)
	}
	return append(dst, '}')
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD; nothing is
// escaped that need not be, apart from DEL.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if isPlain[b] {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = appendEscape(append(dst, s[start:i]...), b)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// isPlain are the ASCII characters that stand for themselves in a JSON string. A table is asked faster than each is compared.
var isPlain = func() (plain [256]bool) {
	for b := byte(' '); b < 0x7f; b++ {
		plain[b] = b != '"' && b != '\\'
	}
	return plain
}()

func appendEscape(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
}
