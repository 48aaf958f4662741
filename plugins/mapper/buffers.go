package mapper

import (
	"fmt"

	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

// bufferSizes are those of the buffers that gRPC takes for messages, as exponents of two: its own, from 256 bytes to 32 KiB and then
// 1 MiB, and what lies between, where most messages are. The App and each of its mappers keep some of them.
var bufferSizes = []uint8{8, 12, 14, 15, 16, 17, 18, 19, 20}

func init() {
	pool, err := mem.NewBinaryTieredBufferPool(bufferSizes...)
	if err != nil {
		panic(fmt.Sprintf("making a pool of buffers for messages: %v", err))
	}
	experimental.SetDefaultBufferPool(pool)
}

// messageWriter writes a message into buffers of one size, of which there are always some: one buffer for all of a message would
// be of another size each time, and up to megabytes.
type messageWriter struct {
	full mem.BufferSlice
	open *[]byte
}

// messageBuffer is the size of a buffer, in bytes.
const messageBuffer = 1 << 15

// append has more of the message appended.
func (w *messageWriter) append(appendTo func(b []byte) []byte) {
	if w.open == nil {
		w.open = mem.DefaultBufferPool().Get(messageBuffer)
		*w.open = (*w.open)[:0]
	}
	*w.open = appendTo(*w.open)
	if len(*w.open) > messageBuffer*7/8 { // what comes next would not fit, mostly
		w.close()
	}
}

func (w *messageWriter) close() {
	w.full = append(w.full, mem.NewBuffer(w.open, mem.DefaultBufferPool()))
	w.open = nil
}

// finish gives the whole message.
func (w *messageWriter) finish() mem.BufferSlice {
	if w.open != nil {
		w.close()
	}
	return w.full
}
