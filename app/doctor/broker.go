package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mssentinel/app/platform"
	"mssentinel/app/text"
)

// BrokerProbe answers by what a [platform.Recorder] noted of the message broker: it asks nothing itself.
func BrokerProbe(facts func() platform.Facts) Probe {
	return factProbe(Broker, facts, brokerQuestions, func(f platform.Facts) string {
		switch {
		case !f.Attached:
			return string(NotTried) + " (the App runs by itself)"
		case f.Broker.TLS == nil:
			return "ok (plain text)"
		}
		return "ok (CA: " + f.Broker.TLS.Authority + ")"
	})
}

// brokerQuestions are about app/docs/platform.md#message-broker and app/docs/platform.md#commands.
var brokerQuestions = []factQuestion{
	{Question{"broker.tls", "Is the broker spoken to over TLS?"}, onPlatform(func(f platform.Facts) Answer {
		if f.Broker.TLS == nil {
			return Answer{Verdict: No, Evidence: "tc_svc_broker_cacert_file is not set",
				Effect: "The broker's token and the requests' tokens travel in plain text between the App and the broker."}
		}
		return Answer{Verdict: Yes, Evidence: f.Broker.TLS.Version}
	})},
	{Question{"broker.certificate", "What does the broker's certificate say?"}, onBrokerTLS(func(c platform.TLSFacts) Answer { return value("%s", describeCertificate(c)) })},
	{Question{"broker.authority", "Who vouches for the broker's certificate?"}, onBrokerTLS(answerAuthority)},
	{Question{"broker.name", "Does the broker's certificate name its host?"}, onBrokerTLS(func(c platform.TLSFacts) Answer {
		return answerName(c, "MS_SENTINEL_BROKER_NAME_CHECK=false lets it pass.")
	})},
	{Question{"broker.login", "Does the broker take the token with an empty user name?"}, onPlatform(func(f platform.Facts) Answer {
		return answerYesOrNo(f.Broker.ConnectCode == 0, "CONNACK code %d", f.Broker.ConnectCode)
	})},
	{Question{"broker.qos", "Which quality of service does the broker grant?"}, onPlatform(func(f platform.Facts) Answer {
		return value("QoS %d, and 0 was asked for: whether it grants more is not tried", f.Broker.GrantedQoS)
	})},
	{Question{"broker.connections", "Does the connection to the broker last?"}, onPlatform(func(f platform.Facts) Answer {
		answer := answerYesOrNo(f.Broker.Sessions <= 1, "%d connections since the start", f.Broker.Sessions)
		if f.Broker.Sessions > 1 {
			answer.Effect = "Lost connections were made again. What was sent to the Service meanwhile may be lost."
		}
		return answer
	})},
	{Question{"broker.heartbeats", "How often do heartbeats come?"}, onPlatform(answerHeartbeats)},
	{Question{"broker.heartbeat-members", "Which members do heartbeats have?"}, onPlatform(func(f platform.Facts) Answer {
		if f.Heartbeats.Count == 0 {
			return notTried("no heartbeat has arrived yet")
		}
		return value("%s", listTally(f.Heartbeats.Fields))
	})},
	{Question{"broker.commands", "Does the platform send commands that the App does not know?"}, onPlatform(func(f platform.Facts) Answer {
		if len(f.UnknownCommands) == 0 {
			return Answer{Verdict: No, Evidence: "none so far"}
		}
		return Answer{Verdict: Yes, Evidence: listTally(f.UnknownCommands), Differs: true, Effect: "The App ignores them."}
	})},
}

func onBrokerTLS(answer func(c platform.TLSFacts) Answer) func(f platform.Facts) Answer {
	return onPlatform(func(f platform.Facts) Answer {
		if f.Broker.TLS == nil {
			return notTried("the broker is spoken to in plain text")
		}
		return answer(*f.Broker.TLS)
	})
}

func describeCertificate(c platform.TLSFacts) string {
	return fmt.Sprintf("common name %q, alternative names %s, issued by %q, good until %s",
		c.CommonName, listOr(c.Names, "none"), c.Issuer, instant(c.Expires))
}

func answerAuthority(c platform.TLSFacts) Answer {
	switch c.Authority {
	case "":
		return Answer{Verdict: Failed, Evidence: "nobody whom the App trusts", Differs: true, Effect: "There is no connection."}
	case platform.AuthorityFile:
		return value("%s", c.Authority)
	}
	return Answer{Verdict: Value, Evidence: c.Authority + " authorities, not tc_svc_broker_cacert_file",
		Effect: "If the machine's authorities change, the connection may fail."}
}

func answerName(c platform.TLSFacts, remedy string) Answer {
	switch c.Name {
	case platform.NamedAlternatively:
		return Answer{Verdict: Yes, Evidence: "by an " + c.Name}
	case platform.NamedCommonly:
		return Answer{Verdict: Yes, Evidence: "by its common name alone", Effect: "The App accepts that, as Python does."}
	case "":
		return Answer{Verdict: Failed, Evidence: "its chain was refused before"}
	}
	return Answer{Verdict: No, Evidence: c.Name, Differs: true, Effect: remedy}
}

func answerHeartbeats(f platform.Facts) Answer {
	h := f.Heartbeats
	if h.Count < 2 {
		return notTried(fmt.Sprintf("%d heartbeats have arrived so far", h.Count))
	}
	limit := f.HeartbeatTimeout
	answer := value("%d; pauses of %s to %s, most often about %s; after %s without one the App ends", h.Count,
		shortDuration(h.Shortest), shortDuration(h.Longest), shortDuration(h.Median), shortDuration(limit))
	if 2*h.Longest > limit {
		answer.Differs = true
		answer.Effect = "Where a single one is lost, the App takes the platform for silent, makes a new connection, and ends if that does not help."
	}
	return answer
}

// StoreProbe answers by what a [platform.Recorder] noted of the key-value store, and by asking the store about itself
// with a dozen commands that change nothing.
func StoreProbe(ask func(ctx context.Context) (platform.StoreFacts, error)) Probe {
	p := Probe{Area: KeyValueStore}
	for _, q := range storeQuestions {
		p.Questions = append(p.Questions, q.Question)
	}
	p.Examine = func(ctx context.Context, _ Request, a *Answers) string {
		facts, err := ask(ctx)
		for _, q := range storeQuestions {
			switch {
			case errors.Is(err, platform.ErrNoStore) && (q.ID != "store.kind" || facts.Kind == ""):
				a.Set(q.ID, notTried("there is no Redis to ask"))
			default:
				a.Set(q.ID, q.answer(facts, err))
			}
		}
		switch {
		case errors.Is(err, platform.ErrNoStore) && facts.Kind == "":
			return string(NotTried) + " (the App runs by itself)"
		case errors.Is(err, platform.ErrNoStore):
			return "ok (" + facts.Kind + ")"
		case err != nil:
			return "not usable: " + err.Error()
		case strings.HasPrefix(facts.Version, refusedPart):
			return "ok (" + facts.Kind + ")"
		}
		return "ok (" + facts.Kind + " " + facts.Version + ")"
	}
	return p
}

// refusedPart is how an answer begins that the store refused, as [platform.StoreFacts] has it.
const refusedPart = "refused: "

type storeQuestion struct {
	Question
	answer func(f platform.StoreFacts, err error) Answer
}

// storeQuestions are about app/docs/platform.md#key-value-store.
var storeQuestions = []storeQuestion{
	{Question{"store.kind", "Which key-value store carries the bodies?"}, func(f platform.StoreFacts, err error) Answer {
		if err != nil && !errors.Is(err, platform.ErrNoStore) {
			return Answer{Verdict: Failed, Evidence: f.Kind + ": " + err.Error(), Differs: true, Effect: "No request with a body and no answer comes through."}
		}
		return value("%s", f.Kind)
	}},
	{Question{"store.tls", "Is the store spoken to over TLS, and what does its certificate say?"}, func(f platform.StoreFacts, _ error) Answer {
		if f.TLS == nil {
			return Answer{Verdict: No, Evidence: "tc_kvstore_tls_enabled is not true"}
		}
		return Answer{Verdict: Yes, Evidence: f.TLS.Version + "; " + describeCertificate(*f.TLS) + "; vouched for by " + cmp.Or(f.TLS.Authority, "nobody whom the App trusts")}
	}},
	{Question{"store.name", "Does the store's certificate name its host?"}, func(f platform.StoreFacts, _ error) Answer {
		if f.TLS == nil {
			return notTried("the store is spoken to in plain text")
		}
		return answerName(*f.TLS, "The App takes it all the same, because the chain is good.")
	}},
	{Question{"store.login", "Does the store ask for a login?"}, onStore(func(f platform.StoreFacts) Answer {
		answer := value("%s", f.Login)
		if strings.HasPrefix(f.Login, "refused") {
			answer.Effect = "The App comes back without a login, at each new connection."
		}
		return answer
	})},
	{Question{"store.database", "In which database do the bodies lie?"}, onStore(func(f platform.StoreFacts) Answer {
		return value("database %d", f.Database)
	})},
	{Question{"store.version", "Which version has the store?"}, onStore(func(f platform.StoreFacts) Answer { return answerOrRefused(f.Version) })},
	{Question{"store.user", "Under which name does the App work in the store?"}, onStore(func(f platform.StoreFacts) Answer { return answerOrRefused(f.User) })},
	{Question{"store.length", "May the App ask how long a body is?"}, onStore(func(f platform.StoreFacts) Answer {
		if strings.HasPrefix(f.Length, refusedPart) {
			return Answer{Verdict: No, Evidence: f.Length, Effect: "A body above 8 MiB is refused only after it was read."}
		}
		return Answer{Verdict: Yes, Evidence: "HSTRLEN is " + f.Length}
	})},
	{Question{"store.lifetime", "How long does a body stand in the store?"}, onStore(answerLifetime)},
	{Question{"store.cleanup", "Does the platform remove the body of an answer?"}, onStore(answerCleanup)},
}

// onStore is for a question that a store which cannot be reached leaves open.
func onStore(answer func(f platform.StoreFacts) Answer) func(f platform.StoreFacts, err error) Answer {
	return func(f platform.StoreFacts, err error) Answer {
		if err != nil {
			return Answer{Verdict: Failed, Evidence: text.Line(err.Error(), maxEvidence)}
		}
		return answer(f)
	}
}

func answerOrRefused(said string) Answer {
	if strings.HasPrefix(said, refusedPart) {
		return Answer{Verdict: Failed, Evidence: said}
	}
	return value("%s", said)
}

// answerTime is how long an answer takes at most.
const answerTime = 30 * time.Second

func answerLifetime(f platform.StoreFacts) Answer {
	if len(f.Lifetimes) == 0 {
		return notTried("no request with a body has arrived since: save a change on CONFIGURE or run a job, and run the doctor again")
	}
	var all []string
	shortest := time.Duration(-1)
	for _, left := range f.Lifetimes {
		if left < 0 {
			all = append(all, "for ever")
			continue
		}
		all = append(all, shortDuration(left))
		if shortest < 0 || left < shortest {
			shortest = left
		}
	}
	answer := value("while requests were answered, their bodies had to live: %s", strings.Join(all, ", "))
	if shortest >= 0 && shortest < answerTime {
		answer.Differs = true
		answer.Effect = "An answer that takes longer finds its body gone: slow pages may come empty."
	}
	return answer
}

func answerCleanup(f platform.StoreFacts) Answer {
	if len(f.Answered) == 0 {
		return notTried("nothing with a body was answered yet, or TTL may not be asked")
	}
	var parts []string
	gone := true
	for _, a := range f.Answered {
		state := "gone"
		switch {
		case !a.Gone && a.Left < 0:
			gone, state = false, "still there, for ever"
		case !a.Gone:
			gone, state = false, "still there, for "+shortDuration(a.Left)
		}
		parts = append(parts, fmt.Sprintf("%s after its answer: %s", shortDuration(a.Ago), state))
	}
	answer := answerYesOrNo(gone, "%s", strings.Join(parts, "; "))
	if !gone {
		answer.Effect = "Requests and answers of the screens stay in the store for that time. They hold no credentials."
	}
	return answer
}
