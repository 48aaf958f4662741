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
	connection grpc.ClientConnInterface
}

// NewClient speaks to a mapper over a connection.
func NewClient(c grpc.ClientConnInterface) *Client { return &Client{connection: c} }

// Describe asks the mapper who it is.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	d, err := wire.NewMapperClient(c.connection).Describe(ctx, &wire.DescribeRequest{})
	if err != nil {
		return Description{}, fmt.Errorf("asking a mapper what it takes: %w", err)
	}
	return descriptionFromWire(d), nil
}

// Map sends a batch of indicators, each the JSON that ThreatConnect wrote, at most MaxMessage
// bytes together. The answers are in the order of the batch; an error is one of the whole call.
func (c *Client) Map(ctx context.Context, indicators [][]byte, now time.Time) ([]Answer, error) {
	response := mapResponse{answers: make([]Answer, 0, len(indicators))}
	err := c.connection.Invoke(ctx, wire.Mapper_Map_FullMethodName, &mapRequest{indicators: indicators, now: now}, &response,
		grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage))
	if err != nil {
		return nil, fmt.Errorf("mapping %d indicators: %w", len(indicators), err)
	}
	if got := len(response.answers) + response.surplus; got != len(indicators) {
		return nil, fmt.Errorf("mapping %d indicators: the mapper gave %d answers", len(indicators), got)
	}
	return response.answers, nil
}
