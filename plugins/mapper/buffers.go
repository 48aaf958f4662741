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
