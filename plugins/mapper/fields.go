package mapper

import (
	"errors"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file knows how protobuf writes a field: https://protobuf.dev/programming-guides/encoding/.

// field is one field of a message. Its tag is its number in mapper.proto and, in the lower three bits, how it is written.
type field struct {
	tag    uint64
	number uint64 // where it is written as a number
	bytes  []byte // where it is written as bytes: a text, or a message
}

// How a field is written, if it is one that we know.
const (
	asNumber = uint64(protowire.VarintType)
	asBytes  = uint64(protowire.BytesType)
)

// readFields calls visit with each field of a message.
func readFields(raw []byte, visit func(field) error) error {
	for len(raw) > 0 {
		f, size := readField(raw)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if f.tag>>3 > uint64(protowire.MaxValidNumber) {
			return errors.New("the number of a field is too large")
		}
		if err := visit(f); err != nil {
			return err
		}
		raw = raw[size:]
	}
	return nil
}

// readField reads the first field of a message. The size, in bytes, is negative where it is broken.
func readField(raw []byte) (f field, size int) {
	number, typ, start := protowire.ConsumeTag(raw)
	if start < 0 {
		return field{}, start
	}
	f.tag = protowire.EncodeTag(number, typ)
	switch typ {
	case protowire.VarintType:
		f.number, size = protowire.ConsumeVarint(raw[start:])
	case protowire.BytesType:
		f.bytes, size = protowire.ConsumeBytes(raw[start:])
	default:
		size = protowire.ConsumeFieldValue(number, typ, raw[start:])
	}
	if size < 0 {
		return field{}, size
	}
	return f, start + size
}

// text is a text that shares the memory of the message. Whether it is UTF-8, as protobuf wants it, is for whoever checks what it
// belongs to: an object that cannot be sent must not cost the others of its message.
func (f field) text() string { return shareText(f.bytes) }

// shareText gives bytes as a text without a copy: they must not change as long as it is used.
func shareText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// appendNumberField leaves out zero, which is how protobuf writes that where zero and nothing are the same.
func appendNumberField(b []byte, tag uint64, number int64) []byte {
	if number == 0 {
		return b
	}
	return appendOptionalField(b, tag, number)
}

func appendOptionalField(b []byte, tag uint64, number int64) []byte {
	return protowire.AppendVarint(protowire.AppendVarint(b, tag), uint64(number))
}

func appendBytesField(b []byte, tag uint64, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendVarint(b, tag), value)
}

// appendTextField leaves out what is empty, as appendNumberField does zero.
func appendTextField(b []byte, tag uint64, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendVarint(b, tag), text)
}

func appendTextFields(b []byte, tag uint64, list []string) []byte {
	for _, text := range list {
		b = protowire.AppendString(protowire.AppendVarint(b, tag), text)
	}
	return b
}

// appendMessageField appends a message, whose size stands before it and is known behind it.
func appendMessageField[T any](b []byte, tag uint64, message *T, appendMessage func([]byte, *T) []byte) []byte {
	b = protowire.AppendVarint(b, tag)
	start := len(b)
	b = appendMessage(b, message)
	size := len(b) - start
	var room [10]byte
	prefix := protowire.AppendVarint(room[:0], uint64(size))
	b = append(b, prefix...)
	copy(b[start+len(prefix):], b[start:start+size])
	copy(b[start:], prefix)
	return b
}
