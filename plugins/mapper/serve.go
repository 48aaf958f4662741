package mapper

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"mssentinel/app/stix"
	"mssentinel/plugins/mapper/wire"
)

// ContractVersion is the version of the contract, mapper.proto and the rules in plugins/README.md, that this package
// speaks. The App refuses mappers of any other. It goes up with every change that a mapper built before would notice.
const ContractVersion = 1

// MaxMessage bounds a request and a response, in bytes.
const MaxMessage = 16 << 20

// Handshake tells a mapper that was started by hand from one that the App started. It is no
// secret and protects nothing: checksums and mutual TLS do.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ContractVersion,
	MagicCookieKey:   "MS_SENTINEL_MAPPER",
	MagicCookieValue: "threatconnect-to-stix",
}

// PluginName is the name under which Plugins offers the mapper.
const PluginName = "mapper"

// Plugins is what the App asks a mapper process for: a *Client under PluginName.
func Plugins() plugin.PluginSet {
	return plugin.PluginSet{PluginName: &grpcPlugin{}}
}

// Serve runs the mapper until the App ends it, or is gone. Call it from main.
func Serve(m Mapper) {
	go exitWithParent()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake,
		Plugins:         plugin.PluginSet{PluginName: &grpcPlugin{mapper: m}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage))...)
		},
	})
}

// exitWithParent ends the process when the App was killed: nobody else would.
func exitWithParent() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}

// Register adds the mapper to a gRPC server. Serve does so in a process of its own.
func Register(s *grpc.Server, m Mapper) {
	// The service of mapper.proto, with methods that take and give what codec reads and writes.
	service := wire.Mapper_ServiceDesc
	service.HandlerType = (*any)(nil)
	service.Methods = []grpc.MethodDesc{{MethodName: "Describe", Handler: handleDescribe}, {MethodName: "Map", Handler: handleMap}}
	s.RegisterService(&service, &server{mapper: m})
}

func handleDescribe(s any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if err := read(&wire.DescribeRequest{}); err != nil {
		return nil, err
	}
	return descriptionToWire(s.(*server).mapper.Describe()), nil
}

func handleMap(s any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var r mapRequest
	defer r.free()
	if err := read(&r); err != nil {
		return nil, err
	}
	return s.(*server).mapBatch(ctx, &r)
}

// grpcPlugin joins the contract to go-plugin.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	mapper Mapper
}

func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	Register(s, p.mapper)
	return nil
}

func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return NewClient(c), nil
}

// server answers the App's calls with a Mapper.
type server struct{ mapper Mapper }

func (s *server) mapBatch(ctx context.Context, r *mapRequest) (*responseWriter, error) {
	response := new(responseWriter)
	var ind Indicator
	for _, raw := range r.indicators {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answer := s.mapRecord(&ind, raw, r.now)
		response.add(&answer)
	}
	return response, nil
}

// mapRecord maps a record, in the room of the indicator of the one before. A panic costs that record alone.
func (s *server) mapRecord(ind *Indicator, raw []byte, now time.Time) (answer Answer) {
	defer func() {
		if p := recover(); p != nil {
			answer = failedAnswer("the mapper failed on this indicator: %v", p)
		}
	}()
	if err := ind.parse(raw); err != nil {
		return failedAnswer("%s", err)
	}
	return completeAnswer(ind, s.mapper.Map(ind, now))
}

// completeAnswer adds to the answer of a mapper what does not depend on it. The App checks the objects.
func completeAnswer(ind *Indicator, a Answer) Answer {
	if len(a.Objects) == 0 && len(a.Problems) == 0 {
		return failedAnswer("the mapper gave neither an object nor a reason")
	}
	for n := range a.Objects {
		if size := len(a.Objects[n].Pattern); size > stix.MaxMatched {
			note := fmt.Sprintf("the pattern has %d bytes, more than %d: Sentinel's rules may not match it", size, stix.MaxMatched)
			a.Notes = append(a.Notes, note)
		}
	}
	if len(a.Objects) > 0 {
		a.Notes = append(a.Notes, ind.notes()...)
	}
	return a
}

func failedAnswer(format string, args ...any) Answer {
	a := Problem(format, args...)
	a.Failed = true
	return a
}
