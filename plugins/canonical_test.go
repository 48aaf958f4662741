package main

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"golang.org/x/net/idna"

	"mssentinel/plugins/mapper"
)

// The canonical forms of app/docs/mapping.md#canonical-forms, written down a second time with nothing of the product: for the
// parts of a value, without margins, the patterns that it has; none for what the simple form does not cover.
var canonicalForms = map[string]func(parts []string) []string{
	"Address": func(parts []string) []string { return addressForm(parts[0], -1) },
	"CIDR": func(parts []string) []string {
		address, length, _ := strings.Cut(parts[0], "/")
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil
		}
		return addressForm(address, n)
	},
	"Host": func(parts []string) []string { return form("domain-name:value", hostForm(parts[0])) },
	"File": func(parts []string) (list []string) {
		for n, path := range []string{"file:hashes.MD5", "file:hashes.'SHA-1'", "file:hashes.'SHA-256'"} {
			if parts[n] != "" {
				list = append(list, form(path, strings.ToLower(parts[n]))...)
			}
		}
		return list
	},
	"URL": func(parts []string) []string {
		piece := wholeURL.FindStringSubmatch(parts[0])
		if piece == nil {
			return form("url:value", parts[0])
		}
		return form("url:value", strings.ToLower(piece[1])+piece[2]+strings.ToLower(piece[3])+piece[4])
	},
	"ASN": func(parts []string) []string {
		if digits := regexp.MustCompile(`^(?i:asn?[^0-9a-z]*)?([0-9]+)$`).FindStringSubmatch(parts[0]); digits != nil {
			return form("autonomous-system:name", "ASN"+digits[1])
		}
		return form("autonomous-system:name", strings.ToUpper(parts[0]))
	},
	"EmailAddress": func(parts []string) []string {
		name, host, _ := strings.Cut(bareAddress(parts[0]), "@")
		if strings.ContainsAny(name+host, `"[(@`) {
			return nil
		}
		return form("email-addr:value", strings.ToLower(name)+"@"+hostForm(host))
	},
	"Email Subject": func(parts []string) []string { return form("email-message:subject", parts[0]) },
	"Registry Key": func(parts []string) []string {
		key := parts[0]
		if piece := shortHive.FindStringSubmatch(key); piece != nil {
			key = fullHives[strings.ToUpper(piece[1])] + piece[2]
		}
		return form("windows-registry-key:key", key, "windows-registry-key:values[*].name", parts[1], "windows-registry-key:values[*].data_type", parts[2])
	},
}

var (
	wholeURL  = regexp.MustCompile(`(?s)^([A-Za-z][A-Za-z0-9+.-]*)(://(?:[^/?#\\]*@)?)([^/?#\\@]*)(.*)$`)
	shortHive = regexp.MustCompile(`(?is)^(?:HKEY_)?(LOCAL_MACHINE|CURRENT_USER|USERS|CLASSES_ROOT|HKLM|HKCU|HKU)(\\.*|)$`)
	fullHives = map[string]string{"LOCAL_MACHINE": "HKEY_LOCAL_MACHINE", "HKLM": "HKEY_LOCAL_MACHINE", "CURRENT_USER": "HKEY_CURRENT_USER",
		"HKCU": "HKEY_CURRENT_USER", "USERS": "HKEY_USERS", "HKU": "HKEY_USERS", "CLASSES_ROOT": "HKEY_CLASSES_ROOT"}
)

// form is the pattern that compares paths with values; a value that is empty is left out.
func form(pairs ...string) []string {
	var comparisons []string
	for n := 0; n < len(pairs); n += 2 {
		if pairs[n+1] != "" {
			quoted := strings.ReplaceAll(strings.ReplaceAll(pairs[n+1], `\`, `\\`), `'`, `\'`)
			comparisons = append(comparisons, pairs[n]+" = '"+quoted+"'")
		}
	}
	return []string{"[" + strings.Join(comparisons, " AND ") + "]"}
}

// addressForm is the form of an address, or of a block where length is not negative.
func addressForm(address string, length int) []string {
	ip := net.ParseIP(strings.Trim(address, "[]"))
	if ip == nil {
		return nil
	}
	path, bits := "ipv6-addr:value", 128
	if ip.To4() != nil {
		path, bits = "ipv4-addr:value", 32
		if strings.Contains(address, ":") && length >= 0 {
			length -= 96
		}
	}
	if length < 0 || length == bits {
		return form(path, ip.String())
	}
	return form(path, fmt.Sprintf("%s/%d", ip, length))
}

func hostForm(host string) string {
	host, err := idna.Punycode.ToASCII(strings.TrimSuffix(strings.ToLower(host), "."))
	if err != nil {
		return err.Error()
	}
	return host
}

// otherSpellings are those of one value that everybody takes for the same, otherValues those that somebody tells apart.
var otherSpellings = map[string]func(s string) []string{
	"Address": func(s string) []string {
		if strings.Contains(s, ":") {
			return []string{strings.ToUpper(s), "[" + s + "]", atLength(net.ParseIP(s))}
		}
		return []string{"::ffff:" + s, "[" + s + "]", "::FFFF:" + s, "0:0:0:0:0:ffff:" + s}
	},
	"CIDR": func(s string) []string { return []string{strings.ToUpper(s)} },
	"Host": func(s string) []string {
		s = strings.TrimSuffix(s, ".")
		unicode, err := idna.Punycode.ToUnicode(s)
		if err != nil || !strings.EqualFold(s, unicode) {
			return []string{s + ".", asciiUpper(s)}
		}
		return []string{s + ".", asciiUpper(s) + ".", unicode}
	},
	"File": func(s string) []string { return []string{strings.ToUpper(s), strings.ToLower(s)} },
	"URL": func(s string) []string {
		if piece := wholeURL.FindStringSubmatch(s); piece != nil {
			return []string{asciiUpper(piece[1]) + piece[2] + asciiUpper(piece[3]) + piece[4]}
		}
		return nil
	},
	"ASN": func(s string) []string {
		digits := strings.TrimLeft(s, "ASNasn ")
		return []string{digits, "AS" + digits, "asn " + digits, "AS-" + digits}
	},
	"EmailAddress": func(s string) []string {
		return []string{"mailto:" + s, "Some Name <" + s + ">", `"a@b.example" <` + asciiUpper(s) + ">", s + "."}
	},
	"Email Subject": func(string) []string { return nil },
	"Registry Key": func(s string) []string {
		return []string{strings.Replace(s, "HKEY_LOCAL_MACHINE", "hklm", 1), `Computer\` + s, strings.Replace(s, "HKEY_CURRENT_USER", "HKCU:", 1)}
	},
}

var otherValues = map[string]func(s string) []string{
	"Address": func(s string) []string { return []string{s + "1", "1" + s, s + "/24", strings.Replace(s, ".", ":", 1)} },
	"CIDR":    func(s string) []string { return []string{s + "0", "1" + s, s[:len(s)-1] + "9"} },
	"Host": func(s string) []string {
		return []string{"www." + s, s + ".com", "x" + s, strings.Replace(s, ".", "-", 1)}
	},
	"File": func(s string) []string { return []string{nextDigits.Replace(s)} },
	"URL": func(s string) []string {
		return []string{s + "/", s + "#", s + "%20", strings.Replace(s, "://", ":///", 1)}
	},
	"ASN":           func(s string) []string { return []string{s + "0", "AS0" + strings.TrimLeft(s, "ASNasn "), s + "x"} },
	"EmailAddress":  func(s string) []string { return []string{"x" + s, s + "x", "." + s, strings.Replace(s, "@", "+1@", 1)} },
	"Email Subject": func(s string) []string { return []string{s + ".", "Re: " + s, s + "\u00a0x", s + "\ufe0f."} },
	"Registry Key":  func(s string) []string { return []string{s + "x", `HKEY_USERS\x\` + s} },
}

// nextDigits makes another hash of every hash.
var nextDigits = strings.NewReplacer("0", "1", "1", "2", "2", "3", "3", "4", "4", "5", "5", "6", "6", "7", "7", "8", "8", "9", "9", "a", "a", "b", "b", "c", "c", "d",
	"d", "e", "e", "f", "f", "0", "A", "b", "B", "c", "C", "d", "D", "e", "E", "f", "F", "0")

// asciiUpper leaves characters beyond ASCII alone: the capital of ß is SS, which is another host.
func asciiUpper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func atLength(ip net.IP) string {
	var groups []string
	for n := 0; n < len(ip); n += 2 {
		groups = append(groups, fmt.Sprintf("%02x%02x", ip[n], ip[n+1]))
	}
	return strings.Join(groups, ":")
}

// Over the whole population: each value has the pattern of its canonical form, so that two that differ have two ids; all
// spellings of it have that pattern too, and what is not the same has it not.
func TestCanonicalForms(t *testing.T) {
	for typ, canonical := range canonicalForms {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			m, compared, all := built(t, typ), 0, population(t)[typ]
			for _, raw := range all {
				got := patterns(t, m, raw)
				parts := partsOf(typ, raw)
				want := canonical(parts)
				if len(want) == 0 || len(got) == 0 {
					continue // not covered here, or reported
				}
				if compared++; !slices.Equal(got, want) {
					t.Fatalf("%s\ngives  %q\nbut is %q", raw, got, want)
				}
				checkSpellings(t, m, typ, parts, got)
			}
			if compared*10 < len(all)*9 {
				t.Errorf("compared %d of %d", compared, len(all))
			}
		})
	}
}

// partsOf are the parts of a value without their margins, "" for those that are not there.
func partsOf(typ string, raw []byte) (parts []string) {
	for _, member := range members[typ] {
		parts = append(parts, bare(gjson.GetBytes(raw, member).String()))
	}
	return parts
}

// checkSpellings maps the value in other spellings, and other values.
func checkSpellings(t *testing.T, m mapper.Mapper, typ string, parts, want []string) {
	t.Helper()
	value, rest := parts[0], ""
	if typ == "File" {
		value = strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), " : ")
	} else if len(parts) > 1 {
		rest = " : " + strings.Join(parts[1:], " : ")
	}
	if strings.Contains(parts[0]+strings.Join(parts[1:], ""), " : ") {
		return // which part is which cannot be told from a summary alone
	}
	for _, spelling := range append(otherSpellings[typ](value), " "+value+"\t", "\ufeff"+value, value+"\u200b\r\n") {
		if got := patterns(t, m, summarised(t, typ, spelling+rest)); !slices.Equal(got, want) {
			t.Fatalf("%q gives %q\n%q gives %q", value, want, spelling, got)
		}
	}
	for _, other := range otherValues[typ](value) {
		for _, got := range patterns(t, m, summarised(t, typ, other+rest)) {
			if other != value && slices.Contains(want, got) {
				t.Fatalf("%q and %q both give %s", value, other, got)
			}
		}
	}
}

// summarised is an indicator that has its value in the summary alone.
func summarised(t *testing.T, typ, summary string) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"type": typ, "summary": summary})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
