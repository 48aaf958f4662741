package mapper

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"mssentinel/app/text"
)

// codec writes and reads what Map takes and gives, and leaves every other message to gRPC's own codec. The types that protoc makes
// of mapper.proto would be one more form of every object, with a copy of each text: with them the contract takes as long as mapping
// does. A fuzz test compares the two.
type codec struct{ encoding.CodecV2 }

func init() { encoding.RegisterCodecV2(codec{encoding.GetCodecV2(proto.Name)}) }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *mapRequest:
		return m.write(), nil
	case *responseWriter:
		return m.finish(), nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *mapRequest:
		return m.readFrom(data)
	case *mapResponse:
		return m.readFrom(data.Materialize()) // which keeps the bytes
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Tags of the fields in mapper.proto.
const (
	tagRequestIndicator = 1<<3 | asBytes
	tagRequestNow       = 2<<3 | asNumber

	tagResponseAnswer = 1<<3 | asBytes

	tagAnswerObject  = 1<<3 | asBytes
	tagAnswerProblem = 2<<3 | asBytes
	tagAnswerNote    = 3<<3 | asBytes
	tagAnswerFailed  = 4<<3 | asNumber

	tagObjectPattern           = 1<<3 | asBytes
	tagObjectName              = 2<<3 | asBytes
	tagObjectDescription       = 3<<3 | asBytes
	tagObjectCreated           = 4<<3 | asNumber
	tagObjectConfidence        = 5<<3 | asNumber
	tagObjectLabel             = 6<<3 | asBytes
	tagObjectKillChainPhase    = 7<<3 | asBytes
	tagObjectMarkingRef        = 8<<3 | asBytes
	tagObjectExternalReference = 9<<3 | asBytes
	tagObjectIndicatorType     = 10<<3 | asBytes

	tagPhaseKillChainName = 1<<3 | asBytes
	tagPhaseName          = 2<<3 | asBytes

	tagReferenceSourceName = 1<<3 | asBytes
	tagReferenceURL        = 2<<3 | asBytes
	tagReferenceExternalID = 3<<3 | asBytes
)

// mapRequest is the MapRequest of mapper.proto.
type mapRequest struct {
	indicators [][]byte
	now        time.Time
	// received are the buffers of one that was read, in which its indicators lie until free gives them back.
	received mem.BufferSlice
}

// write gives the message as it is sent.
func (r *mapRequest) write() mem.BufferSlice {
	var w messageWriter
	for _, raw := range r.indicators {
		w.append(func(b []byte) []byte { return appendBytesField(b, tagRequestIndicator, raw) })
	}
	w.append(func(b []byte) []byte { return appendNumberField(b, tagRequestNow, r.now.UnixMilli()) })
	return w.finish()
}

// usualIndicator is about how long the shortest indicators are, in bytes.
const usualIndicator = 1 << 10

// readFrom reads the indicators, which come first, where they lie: one that begins in one buffer and ends in another is the only
// one that is copied. The caller calls free, also after an error.
func (r *mapRequest) readFrom(data mem.BufferSlice) error {
	data.Ref()
	r.received, r.now = slices.Clip(data), time.UnixMilli(0).UTC()
	r.indicators = make([][]byte, 0, data.Len()/usualIndicator+1)
	in := data.Reader()
	defer in.Close()
	for in.Remaining() > 0 {
		tag, err := in.ReadByte()
		if err != nil {
			return err
		}
		if uint64(tag) != tagRequestIndicator {
			return r.readRest(tag, in)
		}
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		if size > uint64(in.Remaining()) {
			return io.ErrUnexpectedEOF
		}
		raw, err := r.readBytes(in, int(size))
		if err != nil {
			return err
		}
		r.indicators = append(r.indicators, raw)
	}
	return nil
}

// readBytes reads bytes where they lie, or into a buffer of their own where that is in several.
func (r *mapRequest) readBytes(in *mem.Reader, size int) ([]byte, error) {
	var room [2][]byte
	parts, err := in.Peek(size, room[:0])
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		_, err = in.Discard(size)
		return parts[0], err
	}
	whole := mem.DefaultBufferPool().Get(size)
	r.received = append(r.received, mem.NewBuffer(whole, mem.DefaultBufferPool()))
	_, err = io.ReadFull(in, *whole)
	return *whole, err
}

// readRest reads what follows the indicators, beginning with a byte that was read.
func (r *mapRequest) readRest(first byte, in *mem.Reader) error {
	rest := make([]byte, 1+in.Remaining())
	rest[0] = first
	if _, err := io.ReadFull(in, rest[1:]); err != nil {
		return err
	}
	return readFields(rest, func(f field) error {
		switch f.tag {
		case tagRequestIndicator:
			r.indicators = append(r.indicators, f.bytes)
		case tagRequestNow:
			r.now = time.UnixMilli(int64(f.number)).UTC()
		}
		return nil
	})
}

// free gives the buffers back: nothing of the indicators is good any more.
func (r *mapRequest) free() { r.received.Free() }

// responseWriter writes the MapResponse of mapper.proto answer by answer, so that no answer is kept.
type responseWriter struct{ messageWriter }

func (w *responseWriter) add(a *Answer) {
	w.append(func(b []byte) []byte { return appendMessageField(b, tagResponseAnswer, a, appendAnswer) })
}

// mapResponse is the MapResponse of mapper.proto as the App reads it.
type mapResponse struct {
	answers []Answer
	// surplus is how many more answers came than there was room for: they are counted, and not kept.
	surplus int
}

// readFrom reads as many answers as there is room for.
func (r *mapResponse) readFrom(raw []byte) error {
	return readFields(raw, func(f field) error {
		switch {
		case f.tag != tagResponseAnswer:
			return nil
		case len(r.answers) == cap(r.answers):
			r.surplus++
			return nil
		}
		r.answers = append(r.answers, Answer{})
		return readAnswer(&r.answers[len(r.answers)-1], f.bytes)
	})
}

func appendAnswer(b []byte, a *Answer) []byte {
	for n := range a.Objects {
		b = appendMessageField(b, tagAnswerObject, &a.Objects[n], appendObject)
	}
	b = appendTextFields(b, tagAnswerProblem, boundSentences(a.Problems))
	b = appendTextFields(b, tagAnswerNote, boundSentences(a.Notes))
	if a.Failed {
		b = appendNumberField(b, tagAnswerFailed, 1)
	}
	return b
}

// maxSentenceBytes bounds a problem or a note, which may quote a value of any length.
const maxSentenceBytes = 500

// boundSentences makes problems and notes fit to travel: protobuf refuses a text that is not UTF-8.
func boundSentences(list []string) []string {
	var bounded []string
	for _, s := range list {
		bounded = append(bounded, text.Cut(s, maxSentenceBytes))
	}
	return bounded
}

func readAnswer(a *Answer, raw []byte) error {
	return readFields(raw, func(f field) (err error) {
		switch f.tag {
		case tagAnswerObject:
			a.Objects = append(a.Objects, Object{})
			err = readObject(&a.Objects[len(a.Objects)-1], f.bytes)
		case tagAnswerProblem:
			a.Problems = append(a.Problems, f.text())
		case tagAnswerNote:
			a.Notes = append(a.Notes, f.text())
		case tagAnswerFailed:
			a.Failed = f.number != 0
		}
		return err
	})
}

func appendObject(b []byte, o *Object) []byte {
	b = appendTextField(b, tagObjectPattern, o.Pattern)
	b = appendTextField(b, tagObjectName, o.Name)
	b = appendTextField(b, tagObjectDescription, o.Description)
	b = appendNumberField(b, tagObjectCreated, o.Created.UnixMilli())
	if o.Confidence != nil {
		fitting := min(max(*o.Confidence, math.MinInt32), math.MaxInt32) // what lies beyond is refused as that is
		b = appendOptionalField(b, tagObjectConfidence, int64(fitting))
	}
	b = appendTextFields(b, tagObjectLabel, o.Labels)
	for n := range o.KillChainPhases {
		b = appendMessageField(b, tagObjectKillChainPhase, &o.KillChainPhases[n], appendPhase)
	}
	b = appendTextFields(b, tagObjectMarkingRef, o.ObjectMarkingRefs)
	for n := range o.ExternalReferences {
		b = appendMessageField(b, tagObjectExternalReference, &o.ExternalReferences[n], appendReference)
	}
	return appendTextFields(b, tagObjectIndicatorType, o.IndicatorTypes)
}

func readObject(o *Object, raw []byte) error {
	o.Created = time.UnixMilli(0).UTC()
	return readFields(raw, func(f field) (err error) {
		switch f.tag {
		case tagObjectPattern:
			o.Pattern = f.text()
		case tagObjectName:
			o.Name = f.text()
		case tagObjectDescription:
			o.Description = f.text()
		case tagObjectCreated:
			o.Created = time.UnixMilli(int64(f.number)).UTC()
		case tagObjectConfidence:
			confidence := int(int32(f.number))
			o.Confidence = &confidence
		case tagObjectLabel:
			o.Labels = append(o.Labels, f.text())
		case tagObjectKillChainPhase:
			o.KillChainPhases = append(o.KillChainPhases, KillChainPhase{})
			err = readPhase(&o.KillChainPhases[len(o.KillChainPhases)-1], f.bytes)
		case tagObjectMarkingRef:
			o.ObjectMarkingRefs = append(o.ObjectMarkingRefs, f.text())
		case tagObjectExternalReference:
			o.ExternalReferences = append(o.ExternalReferences, ExternalReference{})
			err = readReference(&o.ExternalReferences[len(o.ExternalReferences)-1], f.bytes)
		case tagObjectIndicatorType:
			o.IndicatorTypes = append(o.IndicatorTypes, f.text())
		}
		return err
	})
}

func appendPhase(b []byte, p *KillChainPhase) []byte {
	return appendTextField(appendTextField(b, tagPhaseKillChainName, p.KillChainName), tagPhaseName, p.PhaseName)
}

func readPhase(p *KillChainPhase, raw []byte) error {
	return readFields(raw, func(f field) error {
		switch f.tag {
		case tagPhaseKillChainName:
			p.KillChainName = f.text()
		case tagPhaseName:
			p.PhaseName = f.text()
		}
		return nil
	})
}

func appendReference(b []byte, r *ExternalReference) []byte {
	b = appendTextField(b, tagReferenceSourceName, r.SourceName)
	b = appendTextField(b, tagReferenceURL, r.URL)
	return appendTextField(b, tagReferenceExternalID, r.ExternalID)
}

func readReference(r *ExternalReference, raw []byte) error {
	return readFields(raw, func(f field) error {
		switch f.tag {
		case tagReferenceSourceName:
			r.SourceName = f.text()
		case tagReferenceURL:
			r.URL = f.text()
		case tagReferenceExternalID:
			r.ExternalID = f.text()
		}
		return nil
	})
}
