package mapper

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"mssentinel/plugins/mapper/wire"
)

// Client is the App's side of the contract.
type Client struct {
	rpc wire.MapperClient
}

// NewClient speaks to a mapper over a connection.
func NewClient(c grpc.ClientConnInterface) *Client {
	return &Client{rpc: wire.NewMapperClient(c)}
}

// Describe asks the mapper who it is.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	d, err := c.rpc.Describe(ctx, &wire.DescribeRequest{})
	if err != nil {
		return Description{}, fmt.Errorf("asking a mapper what it takes: %w", err)
	}
	return descriptionFromWire(d), nil
}

// Map sends a batch of indicators, each the JSON that ThreatConnect wrote, at most MaxMessage
// bytes together. The answers are in the order of the batch; an error is one of the whole call.
func (c *Client) Map(ctx context.Context, indicators [][]byte, now time.Time) ([]Answer, error) {
	r, err := c.rpc.Map(ctx, &wire.MapRequest{Indicators: indicators, NowMs: now.UnixMilli()},
		grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage))
	if err != nil {
		return nil, fmt.Errorf("mapping %d indicators: %w", len(indicators), err)
	}
	if got := len(r.GetAnswers()); got != len(indicators) {
		return nil, fmt.Errorf("mapping %d indicators: the mapper gave %d answers", len(indicators), got)
	}
	answers := make([]Answer, len(indicators))
	for i, a := range r.GetAnswers() {
		answers[i] = answerFromWire(a)
	}
	return answers, nil
}
