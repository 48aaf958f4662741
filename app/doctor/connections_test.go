package doctor

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/threatconnect"
)

// says fails the test unless a connection works or not, and what was found has all the parts.
func (c Connection) says(t *testing.T, works bool, parts ...string) {
	t.Helper()
	found := strings.Join(c.Found, " ")
	if c.Works != works {
		t.Errorf("works %v: %s", c.Works, found)
	}
	for _, part := range parts {
		if !strings.Contains(found, part) {
			t.Errorf("%q is not in %q", part, found)
		}
	}
	for _, hidden := range []string{azureSecret, "Bearer", tcserver.DefaultSecretKey} {
		if strings.Contains(found, hidden) {
			t.Errorf("%q is shown", hidden)
		}
	}
}

func TestThreatConnectIsTested(t *testing.T) {
	test := func(o tcserver.Options, accessID, key string) Connection {
		t.Helper()
		o.Population = tcserver.Generate(100, 3, time.Now())
		s := tcserver.New(o)
		defer s.Close()
		server := httptest.NewServer(s)
		defer server.Close()
		return TestThreatConnect(t.Context(), threatconnect.New(threatconnect.Options{BaseURL: server.URL, AccessID: accessID, SecretKey: func() string { return key }}))
	}
	const id, key = tcserver.DefaultAccessID, tcserver.DefaultSecretKey
	test(tcserver.Options{}, id, key).says(t, true, "takes the Access ID and the Secret Key.", "may read the indicators of 5 owners.")
	test(tcserver.Options{}, id, "another").says(t, false, "Secret Key")
	test(withUnknowns(tcserver.Unknowns{ClockAhead: 3 * time.Minute}), id, key).says(t, true, "set the clock of this machine right")
	dead := httptest.NewServer(nil)
	dead.Close()
	gone := TestThreatConnect(t.Context(), threatconnect.New(threatconnect.Options{BaseURL: dead.URL, AccessID: id, SecretKey: func() string { return key }}))
	gone.says(t, false, "gives no usable answer", "Check the network")
}

func TestSentinelIsTested(t *testing.T) {
	for name, tt := range map[string]struct {
		setup azureSetup
		works bool
		says  []string
	}{
		"works": {azureSetup{}, true, []string{"and the Client Secret.", "the role is there", "stands under " + ProbeSource(realSource)}},
		"wrong secret": {azureSetup{change: func(s *sentinelserver.Server) { s.SetSecret(azureClient, "another") }}, false,
			[]string{"refuses the client secret (AADSTS7000215). Enter"}},
		"no role": {azureSetup{change: func(s *sentinelserver.Server) { s.SetRole(azureClient, false) }}, false,
			[]string{"Microsoft Entra takes", "does not let the application upload", "Microsoft Sentinel Contributor"}},
		"no answer": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.CutBefore, Count: -1}}}, false, []string{"broke off"}},
		"silence":   {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Hang, Count: -1}}}, false, []string{"did not answer in time"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newAzureWorld(t, tt.setup)
				ctx, cancel := context.WithTimeout(t.Context(), 23*time.Second)
				defer cancel()
				TestSentinel(ctx, AzureOptions{Client: w.client, Source: realSource}).says(t, tt.works, tt.says...)
				if n := w.far.RequestCount(); n > 1 {
					t.Errorf("%d requests to Sentinel", n)
				}
			})
		})
	}
}
