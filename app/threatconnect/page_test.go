package threatconnect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func openList(t testing.TB, data string) []Indicator {
	t.Helper()
	body := []byte(`{"data":` + data + `,"count":1,"status":"Success"}`)
	a, ok := parseAnswer(body)
	if !ok || !a.hasList {
		t.Fatalf("not readable: %s", body)
	}
	return a.parseIndicators()
}

func TestIndicatorIsReadTolerantly(t *testing.T) {
	when := time.Date(2021, 11, 2, 14, 58, 55, 0, time.UTC)
	for _, c := range []struct {
		name, raw string
		want      Indicator
	}{
		{"as documented", `{"id":3,"ownerId":1,"ownerName":"Demo Organization","type":"Host","lastModified":"2021-11-02T14:58:55Z","tags":{}}`,
			Indicator{ID: 3, Type: "Host", Owner: "Demo Organization", LastModified: when}},
		{"beyond 2^53", `{"id":9007199254740993,"type":"Host","ownerName":"O","lastModified":"2021-11-02T14:58:55Z"}`,
			Indicator{ID: 9007199254740993, Type: "Host", Owner: "O", LastModified: when}},
		{"id as text", `{"id":"9007199254740995 ","type":"Host","ownerName":"O","lastModified":"2021-11-02T14:58:55Z"}`,
			Indicator{ID: 9007199254740995, Type: "Host", Owner: "O", LastModified: when}},
		{"blank after the date", `{"id":3,"type":"Host","ownerName":"O","lastModified":"2021-11-02T14:58:55Z "}`,
			Indicator{ID: 3, Type: "Host", Owner: "O", LastModified: when}},
		{"date without zone", `{"id":3,"type":"Host","ownerName":"O","lastModified":"2021-11-02 14:58:55"}`,
			Indicator{ID: 3, Type: "Host", Owner: "O", LastModified: when}},
		{"escaped names, members last", `{"tags":{"data":[{"id":77,"type":"x"}]},"lastModified":"2021-11-02T14:58:55Z","ownerName":"O\u0027Brien \"&\" Sons","type":"Email Subject","id":4}`,
			Indicator{ID: 4, Type: "Email Subject", Owner: `O'Brien "&" Sons`, LastModified: when}},
		{"no id", `{"type":"Host","ownerName":"O","lastModified":"2021-11-02T14:58:55Z"}`, Indicator{Type: "Host", Owner: "O", LastModified: when}},
		{"id is an object", `{"id":{},"type":["Host"],"ownerName":null,"lastModified":12}`, Indicator{}},
		{"broken id", `{"id":"three","type":"Host"}`, Indicator{Type: "Host"}},
		{"no object", `"three"`, Indicator{}},
		{"null", `null`, Indicator{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			neighbour := `{"id":1,"type":"Address","ownerName":"N","lastModified":"2021-11-02T14:58:55Z"}`
			list := openList(t, "[ "+neighbour+",\n"+c.raw+" , "+neighbour+"]")
			if len(list) != 3 {
				t.Fatalf("got %d indicators", len(list))
			}
			got := list[1]
			if string(got.Raw) != c.raw {
				t.Errorf("raw %s", got.Raw)
			}
			got.Raw = nil
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			for _, i := range []int{0, 2} {
				if list[i].ID != 1 || list[i].Owner != "N" || string(list[i].Raw) != neighbour {
					t.Errorf("neighbour lost: %+v", list[i])
				}
			}
		})
	}
}

func TestRawCannotGrowIntoItsNeighbour(t *testing.T) {
	list := openList(t, `[{"id":1},{"id":2}]`)
	_ = append(list[0].Raw, "XXXXXXXX"...)
	if string(list[1].Raw) != `{"id":2}` {
		t.Errorf("neighbour became %s", list[1].Raw)
	}
}

func TestEnvelope(t *testing.T) {
	for _, c := range []struct {
		body     string
		readable bool
		want     answer
	}{
		{`{"data":[],"status":"Success"}`, true, answer{status: "Success", count: -1}},
		{`{"next":"https://host/api/v3/indicators?a=b","count":"12","status":"Success"}`, true,
			answer{status: "Success", next: "https://host/api/v3/indicators?a=b", count: 12}},
		{`{"errCode":"0x2001","message":"Syntax error(s)","status":"Error"}`, true,
			answer{status: "Error", code: "0x2001", message: "Syntax error(s)", count: -1}},
		{`{"data":[{"id":1},{"id":`, false, answer{count: -1}},
		{`{"data":[]} trailing`, false, answer{count: -1}},
		{`[]`, false, answer{count: -1}},
		{`null`, false, answer{count: -1}},
		{``, false, answer{count: -1}},
	} {
		got, readable := parseAnswer([]byte(c.body))
		got.hasList, got.items = false, nil
		if readable != c.readable || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v %+v", c.body, readable, got)
		}
	}
}

// An answer without a list must not pass for an empty selection: everything that stands in Sentinel would be retired.
func TestMissingDataIsNoEmptyList(t *testing.T) {
	for _, body := range []string{`{"status":"Success"}`, `{"data":null,"status":"Success"}`, `{"data":{},"status":"Success"}`, `{"data":"","status":"Success"}`} {
		if a, ok := parseAnswer([]byte(body)); !ok || a.hasList {
			t.Errorf("%s passes for an empty list", body)
		}
	}
}

// BenchmarkPage measures the cost of a record: validated, cut out, and its four members read. Records are those of the
// file that MS_SENTINEL_TEST_DATA names, or made up at the size of real ones.
func BenchmarkPage(b *testing.B) {
	const rows = 1000
	body := []byte(`{"data":[` + strings.Join(records(b, rows), ",") + `],"status":"Success"}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		a, ok := parseAnswer(body)
		if !ok {
			b.Fatal("not readable")
		}
		if list := a.parseIndicators(); len(list) != rows {
			b.Fatal(len(list))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/record")
	b.ReportMetric(float64(len(body))/rows, "B/record")
}

func records(b *testing.B, n int) []string {
	list := make([]string, 0, n)
	if name := os.Getenv("MS_SENTINEL_TEST_DATA"); name != "" {
		file, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		unpacked, err := gzip.NewReader(file)
		if err != nil {
			b.Fatal(err)
		}
		for lines := bufio.NewScanner(unpacked); len(list) < n && lines.Scan(); {
			list = append(list, lines.Text())
		}
		return list
	}
	group := `{"id":10543811,"dateAdded":"2023-12-26T00:50:11Z","ownerId":10666,"ownerName":"Technical Blogs","webLink":"https://tc.example/#/details/groups/10543811/overview","type":"Malware","name":"a backdoor","createdBy":{"id":7,"userName":"82226119134425337511","firstName":"Blog","lastName":"Importer"},"upVoteCount":"0","downVoteCount":"0","lastModified":"2024-01-06T00:50:15Z"}`
	for i := range n {
		list = append(list, fmt.Sprintf(`{"id":%d,"ownerId":10666,"ownerName":"Technical Blogs","dateAdded":"2024-11-01T05:00:11Z","webLink":"https://tc.example/#/details/indicators/%d/overview","type":"Host","lastModified":"2025-01-31T20:43:53Z","rating":2.00,"confidence":34,"summary":"host%d.example","hostName":"host%d.example","tags":{"data":[{"id":1,"name":"a \"quoted\" tag"}]},"attributes":{},"associatedGroups":{"data":[%s]}}`,
			i+1, i+1, i, i, strings.Join([]string{group, group, group, group}, ",")))
	}
	return list
}

func TestPageOfManyRecords(t *testing.T) {
	var data bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&data, `,{"id":%d,"type":"Host","ownerName":"O","lastModified":"2021-11-02T14:58:55Z"}`, i+1)
	}
	list := openList(t, "["+data.String()[1:]+"]")
	for n, i := range list {
		if i.ID != int64(n+1) || !strings.HasPrefix(string(i.Raw), `{"id":`) || !strings.HasSuffix(string(i.Raw), "}") {
			t.Fatalf("record %d is %+v: %s", n, i, i.Raw)
		}
	}
}
