package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// ownerNames are the owners of ThreatConnect, the Organization first. One has a name that has to be quoted with care.
var ownerNames = []string{"Home", "Alpha", "Beta", `Gam"ma`}

var typeNames = []string{"Address", "ASN", "CIDR", "EmailAddress", "Email Subject", "File", "Host", "Registry Key", "URL"}

// typeWeights are how often each type is drawn.
var typeWeights = []int{12, 3, 5, 7, 3, 30, 26, 4, 10}

// pool is how many observables of a type there are: few, so that indicators share them.
const pool = 40

// drawType draws a type.
func drawType(r *rand.Rand) string {
	total := 0
	for _, w := range typeWeights {
		total += w
	}
	left := r.IntN(total)
	for i, w := range typeWeights {
		if left -= w; left < 0 {
			return typeNames[i]
		}
	}
	return "Host"
}

// drawValue draws the members that make the value of an indicator of a type: one of few observables in one of several
// spellings, now and then one that cannot be mapped.
func drawValue(r *rand.Rand, typ string) map[string]any {
	if r.IntN(14) == 0 {
		return drawOdd(r, typ)
	}
	n := 1 + r.IntN(pool)
	one := func(member string, spellings ...string) map[string]any {
		value := spellings[r.IntN(len(spellings))]
		return map[string]any{member: value, "summary": value}
	}
	switch typ {
	case "Address":
		if n%4 == 0 {
			return one("ip", fmt.Sprintf("2001:db8::%x", n), fmt.Sprintf("2001:0DB8:0:0:0:0:0:%04X", n), fmt.Sprintf("[2001:db8::%x]", n))
		}
		return one("ip", fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("::ffff:192.0.2.%d", n), fmt.Sprintf(" 192.0.2.%d\u200b", n))
	case "CIDR":
		// A block of one address is that address: it shares the pattern of an Address.
		return one("Block", fmt.Sprintf("198.51.100.%d/28", n), fmt.Sprintf("192.0.2.%d/32", n), fmt.Sprintf("2001:DB8:%x::/48", n))
	case "Host":
		return one("hostName", fmt.Sprintf("host-%d.example", n), fmt.Sprintf("HOST-%d.Example.", n), fmt.Sprintf("\ufeffhost-%d.example ", n))
	case "URL":
		return one("text", fmt.Sprintf("http://host-%d.example/It's\\%d", n, n), fmt.Sprintf("HTTP://HOST-%d.Example/It's\\%d", n, n))
	case "ASN":
		return one("AS Number", fmt.Sprintf("ASN%d", 64496+n), fmt.Sprintf("as %d", 64496+n), fmt.Sprint(64496+n))
	case "EmailAddress":
		return one("address", fmt.Sprintf("user%d@bücher.example", n), fmt.Sprintf("User%d@xn--bcher-kva.Example", n),
			fmt.Sprintf("Name <mailto:user%d@bücher.example>", n))
	case "Email Subject":
		return one("Subject", fmt.Sprintf("Order : %d 'now'", n), fmt.Sprintf("  Order : %d 'now' ", n))
	case "Registry Key":
		key := []string{`HKLM\Software\%d`, `HKEY_LOCAL_MACHINE\Software\%d`}[r.IntN(2)]
		key = fmt.Sprintf(key, n)
		return map[string]any{"Key Name": key, "Value Name": "Run", "Value Type": "REG_SZ", "summary": key + " : Run : REG_SZ"}
	}
	return drawHashes(r)
}

// drawHashes draws the hashes of a File. Files share hashes: those of one File need not belong together.
func drawHashes(r *rand.Rand) map[string]any {
	members := map[string]any{}
	var present []string
	must := r.IntN(3)
	for i, h := range []struct {
		name   string
		length int
	}{{"md5", 32}, {"sha1", 40}, {"sha256", 64}} {
		if i != must && r.IntN(2) == 0 {
			continue
		}
		hash := fmt.Sprintf("%0*x", h.length, 0xabc000+1+r.IntN(pool))
		if r.IntN(2) == 0 {
			hash = strings.ToUpper(hash)
		}
		members[h.name] = hash
		present = append(present, hash)
	}
	members["summary"] = strings.Join(present, " : ")
	return members
}

// drawOdd draws a value that cannot be mapped, or only in part.
func drawOdd(r *rand.Rand, typ string) map[string]any {
	one := func(member string, values ...string) map[string]any {
		value := values[r.IntN(len(values))]
		return map[string]any{member: value, "summary": value}
	}
	switch typ {
	case "Address":
		return one("ip", "192.0.2.999", "fe80::1%eth0")
	case "CIDR":
		return one("Block", "203.0.113.0/33", "no block")
	case "Host":
		return one("hostName", "*.wildcard.example", "203.0.113.9", "")
	case "EmailAddress":
		return one("address", "not an address", "a@mail.example, b@mail.example")
	case "File":
		return map[string]any{"md5": strings.Repeat("a", 31), "sha256": strings.Repeat("b", 64), "summary": "odd hashes"}
	case "URL":
		return one("text", "http://longer.example/?d="+strings.Repeat("0123456789", 120), "no-scheme.example/path")
	case "Registry Key":
		return map[string]any{"Key Name": "  ", "Value Name": "Run", "Value Type": "REG_SZ", "summary": "   : Run : REG_SZ"}
	case "ASN":
		return one("AS Number", "no number")
	}
	return one("Subject", " ", "tab\tand\nline")
}

// tagNames are what indicators are tagged with.
var tagNames = []string{"Botnet", "Spear Phishing", "Malware Family", "plain", "ransomware"}

// drawQualities draws what an indicator has beside its value.
func drawQualities(r *rand.Rand) map[string]any {
	members := map[string]any{}
	if r.IntN(8) > 0 {
		members["rating"] = r.IntN(6)
	}
	if r.IntN(8) > 0 {
		members["confidence"] = r.IntN(101)
	}
	if r.IntN(4) > 0 {
		members["threatAssessScore"] = r.IntN(1001)
	}
	if r.IntN(6) == 0 {
		members["attributes"] = map[string]any{"data": []any{map[string]any{"id": 1, "type": "Description", "value": fmt.Sprintf("seen %d times", r.IntN(9))}}}
	}
	if r.IntN(6) == 0 {
		name := []string{"TLP:GREEN", "TLP_AMBER STRICT", "TLP: Red"}[r.IntN(3)]
		members["securityLabels"] = map[string]any{"data": []any{map[string]any{"id": 1, "name": name}}}
	}
	return members
}

func drawTags(r *rand.Rand) (tags []string) {
	for range r.IntN(3) {
		tags = append(tags, tagNames[r.IntN(len(tagNames))])
	}
	return tags
}
