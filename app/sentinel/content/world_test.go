package content_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/stix"
	"mssentinel/plugins/address"
	"mssentinel/plugins/asn"
	"mssentinel/plugins/cidr"
	"mssentinel/plugins/emailaddress"
	"mssentinel/plugins/emailsubject"
	"mssentinel/plugins/file"
	"mssentinel/plugins/host"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/registrykey"
	"mssentinel/plugins/url"
)

const (
	workspace = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	clientID  = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	source    = "ThreatConnect-Test"
	owner     = "Acme Intel"
)

// What becomes of an indicator, by its number. Only the first one may be found.
const (
	standing = iota + 1
	retired  // sent again with an end that is now
	expired  // by its time to live
	deleted  // in the portal
	foreign  // of another source
	old      // without a row in the last 14 days
	revoked
	unknown // never sent
)

// kinds are the nine types, some of them twice: how a value is written in ThreatConnect, what the row has of it, and the mapper.
var kinds = map[string]struct {
	mapper     mapper.Mapper
	members    func(n int) map[string]any
	key, value string // of the standing one's row
}{
	"Address": {address.New("test"), func(n int) map[string]any { return map[string]any{"ip": fmt.Sprintf("192.0.2.%d", n)} }, "ipv4-addr:value", "192.0.2.1"},
	"Address6": {address.New("test"), func(n int) map[string]any { return map[string]any{"ip": fmt.Sprintf("2001:DB8:0::%d", n)} },
		"ipv6-addr:value", "2001:db8::1"},
	"CIDR":  {cidr.New("test"), func(n int) map[string]any { return map[string]any{"Block": fmt.Sprintf("10.%d.16.0/20", n)} }, "ipv4-addr:value", "10.1.16.0/20"},
	"CIDR8": {cidr.New("test"), func(n int) map[string]any { return map[string]any{"Block": fmt.Sprintf("%d.64.0.0/10", 100+n)} }, "ipv4-addr:value", "101.64.0.0/10"},
	"CIDR6": {cidr.New("test"), func(n int) map[string]any { return map[string]any{"Block": fmt.Sprintf("2001:db8:%d::/48", n)} },
		"ipv6-addr:value", "2001:db8:1::/48"},
	"Host": {host.New("test"), func(n int) map[string]any { return map[string]any{"hostName": fmt.Sprintf("Bad%d.Example", n)} }, "domain-name:value", "bad1.example"},
	"URL": {url.New("test"), func(n int) map[string]any {
		return map[string]any{"text": fmt.Sprintf(`HTTPS://Url%d.Example/O'Path?q=a\b`, n)}
	},
		"url:value", `https://url1.example/O\'Path?q=a\\b`},
	"File": {file.New("test"), func(n int) map[string]any { return map[string]any{"sha256": strings.Repeat(fmt.Sprint("A", n), 32)} },
		"file:hashes.'SHA-256'", strings.Repeat("a1", 32)},
	"FileMD5":  {file.New("test"), func(n int) map[string]any { return map[string]any{"md5": strings.Repeat(fmt.Sprint("B", n), 16)} }, "file:hashes.MD5", strings.Repeat("b1", 16)},
	"FileSHA1": {file.New("test"), func(n int) map[string]any { return map[string]any{"sha1": strings.Repeat(fmt.Sprint("C", n), 20)} }, "file:hashes.'SHA-1'", strings.Repeat("c1", 20)},
	"EmailAddress": {emailaddress.New("test"), func(n int) map[string]any { return map[string]any{"address": fmt.Sprintf("O'Brien%d@Mail.Example", n)} },
		"email-addr:value", `o\'brien1@mail.example`},
	"Email Subject": {emailsubject.New("test"), func(n int) map[string]any {
		return map[string]any{"Subject": fmt.Sprintf(`Invoice %d: it's "due" \ now`, n)}
	},
		"email-message:subject", `Invoice 1: it\'s "due" \\ now`},
	"Registry Key": {registrykey.New("test"), func(n int) map[string]any {
		return map[string]any{"Key Name": fmt.Sprintf(`HKLM\SYSTEM\CurrentControlSet\Services\Bad%d`, n), "Value Name": fmt.Sprintf("Start'%d", n), "Value Type": "REG_DWORD"}
	}, "", ""},
	"Registry Key alone": {registrykey.New("test"), func(n int) map[string]any { return map[string]any{"Key Name": fmt.Sprintf(`HKCU\Software\Bad%d`, n)} },
		"windows-registry-key:key", `HKEY_CURRENT_USER\\Software\\Bad1`},
	"ASN": {asn.New("test"), func(n int) map[string]any { return map[string]any{"AS Number": fmt.Sprintf("ASN6450%d", n)} }, "autonomous-system:name", "ASN64501"},
}

// typeOf is the type of ThreatConnect.
func typeOf(kind string) string {
	kind = strings.TrimSuffix(kind, " alone")
	return strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(kind, "MD5"), "SHA1"), "0123456789")
}

// table is the rows of a table.
type table []map[string]any

// workspaceOf maps indicators of each kind and uploads them to a stand-in with these unknowns, which makes the rows.
func workspaceOf(t *testing.T, u sentinelserver.Unknowns) (*sentinelserver.Server, table) {
	t.Helper()
	far := sentinelserver.New(sentinelserver.Options{
		Apps: []sentinelserver.App{{TenantID: workspace, ClientID: clientID}}, Workspaces: []string{workspace}, Limit: sentinelserver.Unlimited, Unknowns: u,
	})
	now := time.Now()
	each := func(n int, from string, changed func(map[string]any)) {
		var list []map[string]any
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			list = append(list, objectOf(t, kind, n, now, changed))
		}
		upload(t, far, from, list)
	}
	ends := func(at time.Time) func(map[string]any) {
		return func(o map[string]any) { o["valid_until"] = at.UTC().Format(time.RFC3339) }
	}
	each(old, source, nil)
	far.Age(15 * 24 * time.Hour)
	each(expired, source, ends(now.Add(-time.Minute)))
	for _, n := range []int{standing, retired, deleted, revoked} {
		each(n, source, nil)
	}
	far.Age(24 * time.Hour)
	each(standing, source, func(o map[string]any) { o["confidence"] = 77 }) // a second row of the same object
	each(retired, source, ends(now.Add(-time.Second)))
	each(revoked, source, func(o map[string]any) { o["revoked"] = true })
	each(foreign, "Other-Feed", nil)
	upload(t, far, source, []map[string]any{freshAddress(t, now)})
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		far.Delete(source, objectOf(t, kind, deleted, now, nil)["id"].(string))
	}
	text, err := json.Marshal(far.Rows())
	if err != nil {
		t.Fatal(err)
	}
	var rows table
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		row["_BilledSize"] = 2000
	}
	return far, rows
}

// freshAddress is one that ThreatConnect has had since yesterday.
func freshAddress(t *testing.T, now time.Time) map[string]any {
	return mapOne(t, address.New("test"), map[string]any{"type": "Address", "ip": "192.0.2.101",
		"dateAdded": now.Add(-24 * time.Hour).UTC().Format(time.RFC3339)}, now)
}

// objectOf is the STIX object of an indicator as it would be sent.
func objectOf(t *testing.T, kind string, n int, now time.Time, changed func(map[string]any)) map[string]any {
	t.Helper()
	members := kinds[kind].members(n)
	members["type"] = typeOf(kind)
	object := mapOne(t, kinds[kind].mapper, members, now)
	if changed != nil {
		changed(object)
	}
	return object
}

func mapOne(t *testing.T, m mapper.Mapper, members map[string]any, now time.Time) map[string]any {
	t.Helper()
	indicator := map[string]any{"id": 7, "ownerName": owner, "dateAdded": "2023-09-13T14:51:34Z", "webLink": "https://tc.example/7", "rating": 4.0,
		"confidence": 45, "threatAssessScore": 548, "active": true,
		"associatedGroups": map[string]any{"data": []any{map[string]any{"id": 1, "type": "Adversary", "name": "Bad Panda", "ownerName": owner}}}}
	maps.Copy(indicator, members)
	raw, err := json.Marshal(indicator)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := mapper.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	answer := m.Map(parsed, now)
	if len(answer.Objects) != 1 || len(answer.Problems) > 0 {
		t.Fatalf("%s gives %+v", raw, answer)
	}
	var object map[string]any
	text := answer.Objects[0].AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: now.Add(30 * 24 * time.Hour)})
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func upload(t *testing.T, far *sentinelserver.Server, from string, objects []map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"sourcesystem": from, "stixobjects": objects})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/workspaces/"+workspace+"/threat-intelligence-stix-objects:upload?api-version=2024-02-01-preview", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+far.IssueToken(clientID, "https://management.azure.com", time.Hour))
	w := httptest.NewRecorder()
	if far.ServeHTTP(w, r); w.Code != 200 || w.Body.Len() > 0 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}
