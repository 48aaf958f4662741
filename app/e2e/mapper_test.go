package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/plugins/host"
	"mssentinel/plugins/mapper"
)

// deadly is the mapper of Hosts, but dies of some.
type deadly struct{ mapper.Mapper }

func (d deadly) Map(ind *mapper.Indicator, now time.Time) mapper.Answer {
	if strings.HasPrefix(ind.Summary, "fatal") {
		os.Exit(3)
	}
	return d.Mapper.Map(ind, now)
}

// serveMapper has this executable play the deadly mapper, if the App started it as one.
func serveMapper() bool {
	if os.Getenv(mapper.Handshake.MagicCookieKey) == "" {
		return false
	}
	mapper.Serve(deadly{host.New("1.0.0")})
	return true
}

// deadlyMapper is a folder with the mapper that this executable plays.
func deadlyMapper(t *testing.T) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if os.Link(self, filepath.Join(dir, "deadly")) != nil { // on another disk
		err = os.WriteFile(filepath.Join(dir, "deadly"), data, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "checksums.txt"), fmt.Appendf(nil, "%x  deadly\n", sha256.Sum256(data)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A mapper that dies more than twenty times in an update is left alone for the rest of it. That costs nothing but what is its:
// each indicator stands on REPORT, and is sent when it is retried with a mapper that works.
func TestMapperThatDiesAgainAndAgain(t *testing.T) {
	t.Parallel()
	const pairs = 25 // a Host that the mapper takes and one that it dies of, in turn
	p := tcserver.Generate(400, 5, time.Now().Add(-time.Hour))
	w := newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	owner := p.Owners()[0]
	for n := range 2 * pairs {
		name := fmt.Sprintf("%s%d.example", []string{"good", "fatal"}[n%2], n)
		raw, err := json.Marshal(map[string]any{"type": "Host", "hostName": name, "summary": name, "ownerName": owner.Name, "ownerId": owner.ID,
			"active": true, "rating": 5, "confidence": 100, "threatAssessScore": 900, "webLink": "https://tc.example/" + name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.tc.Put(raw); err != nil {
			t.Fatal(err)
		}
	}
	o := newOracle(t, w.tc, overlapping(p)[4:])
	n := o.complete(true, time.Time{})
	began := time.Now()
	w.env["mapper_dir"] = deadlyMapper(t)
	a := w.start()
	a.save(o.queries)
	j := a.first()
	died, left := 0, 0
	for _, line := range a.report(j.RequestID) {
		switch {
		case line.Code != "mapper-failed":
		case strings.Contains(line.Message, "is left out until the next one"):
			left++
		case strings.Contains(line.Message, "failed on this indicator") && strings.Contains(line.Raw, "fatal"):
			died++
		default:
			t.Errorf("REPORT says %+v", line)
		}
	}
	if j.Status != "Upload Complete" || died != 20 || left < 2*(pairs-20) || j.Uploaded == 0 || j.Uploaded+died+left < n.uploaded {
		t.Errorf("the job is %s: %d died, %d left out, %d of %d uploaded: %s", j.Status, died, left, j.Uploaded, n.uploaded, j.Message)
	}
	a.stop()

	delete(w.env, "mapper_dir")
	a = w.start()
	a.do(http.MethodPost, "api/report/batch-error/retry?code=mapper-failed", nil, nil)
	a.await(a.newest().RequestID).mustComplete(t)
	o.compare(w.cloud, began)
	a.stop()
}
