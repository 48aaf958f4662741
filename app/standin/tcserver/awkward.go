package tcserver

import "strings"

// awkward are values that stand early in every generated population, once each, because clients have stumbled over the
// like.
var awkward = []value{
	{typ: typeAddress, parts: [3]string{"2001:0db8:0000:0000:0000:0000:0000:0001"}}, // uncompressed
	{typ: typeAddress, parts: [3]string{"2001:DB8::ABCD"}},
	{typ: typeAddress, parts: [3]string{"::ffff:192.0.2.200"}}, // IPv4 in IPv6
	{typ: typeAddress, parts: [3]string{"fe80::1%eth0"}},       // with a zone
	{typ: typeAddress, parts: [3]string{"192.0.2.999"}},
	{typ: typeAddress, parts: [3]string{" 192.0.2.201 "}},
	{typ: typeAddress, parts: [3]string{"\ufeff192.0.2.202\u200b"}}, // copied from a page
	{typ: typeAddress, parts: [3]string{"198.51.100.203/index.html"}},
	{typ: typeCIDR, parts: [3]string{"198.51.100.77/24"}}, // host bits
	{typ: typeCIDR, parts: [3]string{"2001:db8:10:0:0:0:0:0/48"}},
	{typ: typeCIDR, parts: [3]string{"203.0.113.0/33"}},
	{typ: typeCIDR, parts: [3]string{"0.0.0.0/0"}},
	{typ: typeCIDR, parts: [3]string{"192.0.2.201/32"}}, // one address, which stands above
	{typ: typeHost, parts: [3]string{"UPPER.Example.COM"}},
	{typ: typeHost, parts: [3]string{"trailing-dot.example."}},
	{typ: typeHost, parts: [3]string{"bücher.example"}},
	{typ: typeHost, parts: [3]string{"xn--bcher-kva.example.net"}},
	{typ: typeHost, parts: [3]string{"*.wildcard.example"}},
	{typ: typeHost, parts: [3]string{"203.0.113.9"}}, // an address as host
	{typ: typeHost, parts: [3]string{"203.0.113.900"}},
	{typ: typeHost, parts: [3]string{"defanged[.]example"}},
	{typ: typeHost, parts: [3]string{"_dmarc.under_score.example"}},
	{typ: typeHost, parts: [3]string{"localhost"}},
	{typ: typeHost, parts: [3]string{strings.Repeat("a", 64) + ".example"}},
	{typ: typeHost, parts: [3]string{"o'brien.example"}},
	{typ: typeHost, parts: [3]string{""}},
	{typ: typeFile, parts: [3]string{"", "", hexOf(1, 64)}}, // only sha256
	{typ: typeFile, parts: [3]string{"", strings.ToLower(hexOf(2, 40)), ""}},
	{typ: typeFile, parts: [3]string{hexOf(3, 32), hexOf(4, 40), hexOf(5, 64)}},
	{typ: typeFile, parts: [3]string{hexOf(6, 31), "", ""}}, // too short
	{typ: typeFile, parts: [3]string{hexOf(7, 32), "", hexOf(8, 63)}},
	{typ: typeFile, parts: [3]string{"Z" + hexOf(9, 31), "", ""}}, // not hexadecimal
	{typ: typeURL, parts: [3]string{"HTTP://Mixed.Example/CaseSensitive?Q=A"}},
	{typ: typeURL, parts: [3]string{"no-scheme.example/path"}},
	{typ: typeURL, parts: [3]string{" HTTPS://Blank.Example/x\u00a0"}},
	{typ: typeURL, parts: [3]string{"hxxp://Defanged[.]example/x"}},
	{typ: typeURL, parts: [3]string{`http://back.example/a\b\c`}},
	{typ: typeURL, parts: [3]string{`http://quote.example/?q="it's"`}},
	{typ: typeURL, parts: [3]string{"http://user:pass@auth.example:8080/x"}},
	{typ: typeURL, parts: [3]string{"http://bücher.example/straße?ü=1#frag"}},
	{typ: typeURL, parts: [3]string{"https://[2001:db8::5]:8443/gate"}},
	{typ: typeURL, parts: [3]string{"http://encoded.example%2Fx/a%20b"}},
	{typ: typeURL, parts: [3]string{"http://long.example/" + strings.Repeat("segment/", 150)}},
	{typ: typeURL, parts: [3]string{"http://longer.example/?d=" + strings.Repeat("0123456789abcdef", 220)}},
	{typ: typeURL, parts: [3]string{"ftp://files.example/pub/"}},
	{typ: typeURL, parts: [3]string{"http://emoji.example/😀 : x"}},
	{typ: typeEmail, parts: [3]string{"Sender@Mixed.Example"}},
	{typ: typeEmail, parts: [3]string{`"quoted name"@mail.example`}},
	{typ: typeEmail, parts: [3]string{"o'neil+tag@mail.example"}},
	{typ: typeEmail, parts: [3]string{"not an address"}},
	{typ: typeEmail, parts: [3]string{"Sender <Sender@Mixed.Example>"}},
	{typ: typeEmail, parts: [3]string{"mailto:sender@bücher.example"}},
	{typ: typeEmail, parts: [3]string{"a@mail.example, b@mail.example"}},
	{typ: typeSubject, parts: [3]string{"Order : 17 : confirmed"}}, // the separator of summaries
	{typ: typeSubject, parts: [3]string{`He said "it's \ done"`}},
	{typ: typeSubject, parts: [3]string{"  blanks around  "}},
	{typ: typeSubject, parts: [3]string{"tab\tand\nline"}},
	{typ: typeSubject, parts: [3]string{"Grüße 🎁 您好"}},
	{typ: typeRegistry, parts: [3]string{`HKEY_LOCAL_MACHINE\Software\Blank`, " ", "REG_SZ"}},
	{typ: typeRegistry, parts: [3]string{`HKEY_LOCAL_MACHINE\Software\Empty`, "", "REG_DWORD"}},
	{typ: typeRegistry, parts: [3]string{`HKEY_USERS\.DEFAULT\It's`, `Value "x" : y`, "REG_BINARY"}},
	{typ: typeRegistry, parts: [3]string{`HKLM\Software\Short`, "Run", "REG_SZ"}}, // not a full hive name
	{typ: typeRegistry, parts: [3]string{`hkcu\Software\Short`, "", "REG_SZ"}},
	{typ: typeASN, parts: [3]string{"ASN64496"}},
	{typ: typeASN, parts: [3]string{"asn64497"}},
	{typ: typeASN, parts: [3]string{"AS64498"}},
	{typ: typeASN, parts: [3]string{"64499"}},
	{typ: typeASN, parts: [3]string{"AS 64499"}},
	{typ: typeASN, parts: [3]string{"ASN064499"}},
	{typ: typeMutex, parts: [3]string{`\Sessions\1\BaseNamedObjects\x`}},
	{typ: typeUserAgent, parts: [3]string{`Mozilla/5.0 ("quoted"; it's)`}},
	{typ: typeHashtag, parts: [3]string{"#ünïcode"}},
}
