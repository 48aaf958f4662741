package tcplatform

import (
	"math/rand/v2"
	"net/http/httptest"
	"testing"
)

// However the members vary, a request has no trigger or none that is named: the vendor's framework stops listening at "".
func TestTriggerIsNeverEmptyText(t *testing.T) {
	p := &Platform{chance: chance{source: rand.New(rand.NewPCG(1, 2))}}
	for range 1000 {
		m := p.runService(httptest.NewRequest("GET", "/x", nil), "key", "x", false)
		if trigger, given := m["triggerId"]; given && trigger != nil {
			t.Fatalf("got %#v", trigger)
		}
	}
}
