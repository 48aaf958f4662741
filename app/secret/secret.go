// Package secret holds texts that must not be printed: passwords, keys, tokens.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text prints as [redacted] however it is printed, logged or encoded. It holds a pointer, so that even package fmt,
// which reads unexported fields, finds an address and not the text. The zero value is the empty text.
type Text struct{ text *string }

// New returns a secret that holds text.
func New(text string) Text {
	if text == "" {
		return Text{}
	}
	return Text{&text}
}

// Reveal returns the text itself.
func (s Text) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Text) IsZero() bool { return s.text == nil }

// Equal reports whether both hold the same text.
func (s Text) Equal(other Text) bool { return s.Reveal() == other.Reveal() }

// String returns [redacted], or "" when there is nothing to hide.
func (s Text) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format prints the same for every verb.
func (s Text) Format(state fmt.State, _ rune) {
	io.WriteString(state, s.String()) //nolint:errcheck // package fmt drops errors as well
}

// LogValue keeps the text out of every slog handler.
func (s Text) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the text out of JSON and of whatever else encodes text.
func (s Text) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
