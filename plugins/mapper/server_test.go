package mapper

import (
	"context"
	"errors"
	"testing"
	"time"
)

// counter is a mapper that ends its caller with the first indicator.
type counter struct {
	leave  func()
	mapped int
}

func (c *counter) Describe() Description { return Description{} }

func (c *counter) Map(*Indicator, time.Time) Answer {
	c.mapped++
	c.leave()
	return Problem("no")
}

// The rest of a batch that nobody waits for any more is left alone.
func TestBatchEndsWithItsCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	c := &counter{leave: leave}
	record := []byte(`{}`)
	_, err := (&server{mapper: c}).mapBatch(ctx, &mapRequest{indicators: [][]byte{record, record, record}})
	if !errors.Is(err, context.Canceled) || c.mapped != 1 {
		t.Errorf("%v after %d indicators", err, c.mapped)
	}
}
