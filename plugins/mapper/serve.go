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
	wire.RegisterMapperServer(s, &server{mapper: m})
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
type server struct {
	wire.UnimplementedMapperServer
	mapper Mapper
}

func (s *server) Describe(context.Context, *wire.DescribeRequest) (*wire.Description, error) {
	return descriptionToWire(s.mapper.Describe()), nil
}

func (s *server) Map(ctx context.Context, r *wire.MapRequest) (*wire.MapResponse, error) {
	now := time.UnixMilli(r.GetNowMs()).UTC()
	answers := make([]*wire.Answer, 0, len(r.GetIndicators()))
	for _, raw := range r.GetIndicators() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answers = append(answers, answerToWire(s.mapRecord(raw, now)))
	}
	return &wire.MapResponse{Answers: answers}, nil
}

// mapRecord maps a record. A panic costs that record alone.
func (s *server) mapRecord(raw []byte, now time.Time) (answer Answer) {
	defer func() {
		if p := recover(); p != nil {
			answer = failedAnswer("the mapper failed on this indicator: %v", p)
		}
	}()
	ind, err := Parse(raw)
	if err != nil {
		return failedAnswer("%s", err)
	}
	return checkAnswer(ind, s.mapper.Map(ind, now))
}

// UnfitObject begins the problem that stands for an object which cannot be sent, whoever finds that: Serve or the App.
const UnfitObject = "the mapper made an object that cannot be sent: "

// checkAnswer gives the answer without the objects that cannot be sent, which become problems, and with the notes that do not depend
// on the mapper.
func checkAnswer(ind *Indicator, a Answer) Answer {
	var sound []Object
	for _, o := range a.Objects {
		if err := o.Check(); err != nil {
			a.Problems = append(a.Problems, UnfitObject+err.Error())
			continue
		}
		if n := len(o.Pattern); n > stix.MaxMatched {
			note := fmt.Sprintf("the pattern has %d bytes, more than %d: Sentinel's rules may not match it", n, stix.MaxMatched)
			a.Notes = append(a.Notes, note)
		}
		sound = append(sound, o)
	}
	a.Objects = sound
	if len(a.Objects) == 0 && len(a.Problems) == 0 {
		return failedAnswer("the mapper gave neither an object nor a reason")
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
