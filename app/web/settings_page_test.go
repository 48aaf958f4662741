package web

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
)

func settled(tests ...Connection) (*world, http.Handler) {
	w := newWorld()
	o := w.options()
	o.Settings = []SettingGroup{{Title: "Schedule", Note: "In hours.", Settings: []Setting{{Label: "Schedule Interval", Value: "6 <h>"}}},
		{Title: "Mappers", Heads: []string{"Type", "SHA-256"}, Rows: [][]string{{"Host", "c0ffee"}}}}
	o.Connections = tests
	return w, New(o)
}

func visitHandler(t *testing.T, h http.Handler, page string) *visitor {
	t.Helper()
	v := &visitor{t: t, h: http.StripPrefix("/api/services/ms_sentinel/v1", h)}
	v.open(page)
	return v
}

func TestSettingsPage(t *testing.T) {
	_, h := settled()
	v := visitHandler(t, h, "ui/")
	v.follow("Settings")
	v.sees("Schedule In hours. Schedule Interval 6 <h>", "Mappers Type SHA-256 Host c0ffee")
	if v.has("button") {
		t.Error("there is a button without anything to test")
	}
}

// A test of a connection says what was found, masked, and ends before the platform gives up.
func TestConnectionsAreTested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		works := Connection{Slug: "threatconnect", Name: "ThreatConnect", Test: func(context.Context) (bool, []string) {
			return true, []string{"12 owners <b>.", "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJhbGciOiJIUzI1NiJ9.c2lnbmF0dXJlc2lnbmF0dXJl"}
		}}
		broken := Connection{Slug: "sentinel", Name: "Microsoft Sentinel", Test: func(context.Context) (bool, []string) {
			return false, []string{"Give it the role."}
		}}
		hangs := Connection{Slug: "nobody", Name: "Nobody", Test: func(ctx context.Context) (bool, []string) {
			<-ctx.Done()
			return false, []string{"It was silent."}
		}}
		_, h := settled(works, broken, hangs)
		v := visitHandler(t, h, "ui/settings")
		v.sees("Connection with ThreatConnect Not tested since the Service was started.")
		v.press("Test ThreatConnect")
		v.sees("It works. Tested 2000-01-01 00:00:00 UTC 12 owners <b>.")
		v.misses("eyJhbGciOiJIUzI1NiJ9", "Give it the role")
		v.press("Test Microsoft Sentinel")
		v.sees("It does not work yet. Tested 2000-01-01 00:00:00 UTC Give it the role.", "12 owners")
		v.press("Test Nobody")
		v.sees("It does not work yet. Tested 2000-01-01 00:00:23 UTC It was silent. The test was given up after 23 s.")
		v.status(http.StatusOK)
		v.tamper("test", "somebody")
		v.press("Test Nobody")
		v.status(http.StatusBadRequest)
		v.sees("SETTINGS has no such test.", "Go to Settings")
		v.open("ui/settings")
		v.tamper("token", "made up")
		v.press("Test ThreatConnect")
		v.status(http.StatusForbidden)
		v.open("ui/settings")
		v.sees("Tested 2000-01-01 00:00:00 UTC 12 owners") // and not again
	})
}
