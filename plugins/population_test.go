package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// population is what the tests and benchmarks map, by type: the file that MS_SENTINEL_TEST_DATA names, or a generated one.
func population(t testing.TB) map[string][][]byte {
	t.Helper()
	byType, err := loadPopulation()
	if err != nil {
		t.Fatal(err)
	}
	return byType
}

var loadPopulation = sync.OnceValues(func() (map[string][][]byte, error) {
	path := os.Getenv("MS_SENTINEL_TEST_DATA")
	if path == "" {
		return generated(5000), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	if magic, err := lines.Peek(2); err == nil && string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(lines)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		lines = bufio.NewReader(z)
	}
	byType := map[string][][]byte{}
	for {
		line, err := lines.ReadBytes('\n')
		if typ := gjson.GetBytes(line, "type").Str; typ != "" {
			byType[typ] = append(byType[typ], line)
		}
		switch err {
		case nil:
		case io.EOF:
			return byType, nil
		default:
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
})

// generated is the same each time: values, tags, attributes and groups of all lengths and alphabets.
func generated(n int) map[string][][]byte {
	g := generator{rand.New(rand.NewPCG(1, 2))}
	byType := map[string][][]byte{}
	for id := range n {
		typ := typeNames[id%len(typeNames)]
		raw, err := json.Marshal(g.indicator(typ, id))
		if err != nil {
			panic(err)
		}
		byType[typ] = append(byType[typ], raw)
	}
	return byType
}

var typeNames = []string{"Address", "CIDR", "Host", "File", "URL", "ASN", "EmailAddress", "Email Subject", "Registry Key"}

type generator struct{ *rand.Rand }

func (g generator) indicator(typ string, id int) map[string]any {
	ind := map[string]any{
		"id": id, "type": typ, "ownerName": g.oneOf(owners...), "webLink": fmt.Sprintf("https://tc.example/#/details/indicators/%d/overview", id),
		"dateAdded": time.Date(2024, 1, 1, 0, 0, g.IntN(1<<26), 0, time.UTC).Format(time.RFC3339),
		"tags":      g.techniques(g.collection(6, "name", "techniqueId")), "attributes": g.collection(5, "type", "value"),
		"associatedGroups": g.collection(4, "type", "name", "ownerName"), "securityLabels": g.collection(2, "name", "color"),
	}
	if g.IntN(4) > 0 {
		ind["confidence"], ind["rating"], ind["threatAssessScore"] = g.IntN(101), float64(g.IntN(11))/2, g.IntN(1001)
	}
	g.value(typ, ind)
	return ind
}

var owners = []string{"Example Org", `Bob's "Feeds" | \ `, "Ünïted 語 💥", "State: inactive;", "\t", strings.Repeat("A long name ", 20)}

func (g generator) value(typ string, ind map[string]any) {
	v4, v6 := fmt.Sprintf("%d.%d.%d.%d", g.IntN(256), g.IntN(256), g.IntN(256), g.IntN(256)), fmt.Sprintf("%X:0:0:%x::%d", 1+g.IntN(65535), g.IntN(65536), g.IntN(10))
	word := fmt.Sprintf("%x", g.Uint32())
	switch typ {
	case "Address":
		ind["ip"] = g.oneOf(v4, v6, "::ffff:"+v4)
	case "CIDR":
		ind["Block"] = g.oneOf(v4+"/24", v6+"/46")
	case "Host":
		ind["hostName"] = g.oneOf(word+".Example.", "bücher-"+word+".example", "_"+word+".EXAMPLE")
	case "File":
		for member, digits := range map[string]int{"md5": 32, "sha1": 40, "sha256": 64} {
			if member == "md5" || g.IntN(2) == 0 {
				ind[member] = fmt.Sprintf("%0*X", digits, g.Uint64())
			}
		}
	case "URL":
		ind["text"] = "HTTPS://User@" + word + ".EXAMPLE:8080/" + g.text(g.IntN(1500))
	case "ASN":
		ind["AS Number"] = fmt.Sprintf("ASN%d", g.Uint32())
	case "EmailAddress":
		ind["address"] = "O'" + word + "@Example.com"
	case "Email Subject":
		ind["Subject"] = "s" + g.text(g.IntN(800))
	case "Registry Key":
		ind["Key Name"], ind["Value Name"], ind["Value Type"] = `HKEY_USERS\`+word+g.text(30), g.oneOf("", " ", g.text(12)), g.oneOf("REG_SZ", "")
	}
	var parts []string
	for _, member := range members[typ] {
		if part, given := ind[member].(string); given {
			parts = append(parts, part)
		}
	}
	ind["summary"] = strings.Join(parts, " : ")
}

// members hold the value of a type; a summary joins them.
var members = map[string][]string{"Address": {"ip"}, "CIDR": {"Block"}, "Host": {"hostName"}, "File": {"md5", "sha1", "sha256"}, "URL": {"text"},
	"ASN": {"AS Number"}, "EmailAddress": {"address"}, "Email Subject": {"Subject"}, "Registry Key": {"Key Name", "Value Name", "Value Type"}}

func (g generator) collection(most int, names ...string) map[string]any {
	list := []any{}
	for range g.IntN(most) {
		element := map[string]any{}
		for _, name := range names {
			element[name] = g.text(g.IntN(60))
		}
		list = append(list, element)
	}
	if len(list) == 0 {
		return map[string]any{}
	}
	return map[string]any{"data": list, "count": len(list)}
}

// techniques gives each tag up to two tactics, among them what is none.
func (g generator) techniques(tags map[string]any) map[string]any {
	list, _ := tags["data"].([]any)
	for _, tag := range list {
		tactics := []string{g.oneOf("Initial Access", "Defense Evasion", "Command and Control"), g.oneOf("Impact", "Evasion", "C2", "💥")}
		tag.(map[string]any)["tactics"] = map[string]any{"data": tactics[:g.IntN(3)]}
	}
	return tags
}

var pieces = []string{"a", "Z", "7", " ", "'", `"`, `\`, "\n", "ü", "語", "💥", "State: inactive;", "State: falsepos;", "TLP:RED", "Malware",
	"Phase of Intrusion", "C2", "T1566", "\u2028", "]", " AND ", "…"}

func (g generator) text(pieceCount int) string {
	s := ""
	for range pieceCount {
		s += g.oneOf(pieces...)
	}
	return s
}

func (g generator) oneOf(choices ...string) string { return choices[g.IntN(len(choices))] }
