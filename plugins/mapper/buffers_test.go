package mapper

import (
	"testing"

	"google.golang.org/grpc/mem"
)

// TestBuffersFitTheirMessages: of what lies between gRPC's own sizes, 32 KiB and 1 MiB, no buffer is twice as long as its message.
func TestBuffersFitTheirMessages(t *testing.T) {
	pool := mem.DefaultBufferPool()
	for size := 33 << 10; size <= 1<<20; size += 61 << 10 {
		b := pool.Get(size)
		if len(*b) != size || cap(*b) >= 2*size {
			t.Errorf("a message of %d bytes has a buffer of %d with room for %d", size, len(*b), cap(*b))
		}
		pool.Put(b)
	}
}
