package tcplatform

// What the tests from outside need to know of a platform.

// BrokerOf tells where the broker is.
func BrokerOf(p *Platform) Broker { return p.broker.where }

// StoreOf tells where the key-value store is.
func StoreOf(p *Platform) Store { return p.store.where }

// InputsOf makes up what the next start of a Service would be told.
func InputsOf(s *Service) map[string]any {
	l := &launch{service: s}
	l.server, l.client = newTopics()
	return s.allInputs(l)
}
