package content_test

import (
	"fmt"
	"strings"
)

// sight is an event of a table in which a value of a kind may be seen, and what finds it.
type sight struct {
	kind, table, rule string
	row               func(n int) map[string]any
	found             string // the indicator that is named
	numbers           []int  // of a near miss; 1 alone for nil
}

func one(column, format string, times int) func(n int) map[string]any {
	return func(n int) map[string]any {
		numbers := make([]any, times)
		for i := range numbers {
			numbers[i] = n
		}
		return map[string]any{column: fmt.Sprintf(format, numbers...)}
	}
}

func hash(letter string, times int, column string) func(n int) map[string]any {
	return func(n int) map[string]any {
		return map[string]any{column: strings.Repeat(fmt.Sprint(letter, n), times)}
	}
}

func registry(format, value, kind string) func(n int) map[string]any {
	return func(n int) map[string]any {
		return map[string]any{"RegistryKey": fmt.Sprintf(format, n), "RegistryValueName": strings.ReplaceAll(value, "#", fmt.Sprint(n)), "RegistryValueType": kind}
	}
}

// sights are the kinds of events that the rules match, each as one of the logs writes it.
var sights = []sight{
	{"Address", "DeviceNetworkEvents", "Address", one("RemoteIP", "192.0.2.%d", 1), "192.0.2.1", nil},
	{"Address", "DeviceNetworkEvents", "Address", one("RemoteIP", "::FFFF:192.0.2.%d", 1), "192.0.2.1", nil},
	{"Address", "CommonSecurityLog", "Address", one("SourceIP", "192.0.2.%d", 1), "192.0.2.1", nil},
	{"Address", "CommonSecurityLog", "Address", one("DestinationIP", "192.0.2.%d", 1), "192.0.2.1", nil},
	{"Address", "SigninLogs", "Address", one("IPAddress", "192.0.2.%d", 1), "192.0.2.1", nil},
	{"Address", "EmailEvents", "Address", one("SenderIPv4", "192.0.2.%d", 1), "192.0.2.1", nil},
	{"Address6", "DeviceNetworkEvents", "Address", one("RemoteIP", "2001:0DB8:0000::%d", 1), "2001:db8::1", nil},
	{"Address6", "EmailEvents", "Address", one("SenderIPv6", "2001:db8:0:0:0:0:0:%d", 1), "2001:db8::1", nil},
	{"CIDR", "DeviceNetworkEvents", "CIDR", one("RemoteIP", "10.%d.31.255", 1), "10.1.16.0/20", nil},
	{"CIDR", "CommonSecurityLog", "CIDR", one("DestinationIP", "10.%d.16.0", 1), "10.1.16.0/20", nil},
	{"CIDR", "SigninLogs", "CIDR", one("IPAddress", "10.%d.20.9", 1), "10.1.16.0/20", nil},
	{"CIDR8", "EmailEvents", "CIDR", one("SenderIPv4", "10%d.127.3.4", 1), "101.64.0.0/10", nil},
	{"CIDR6", "DeviceNetworkEvents", "CIDR", one("RemoteIP", "2001:DB8:%d:5::1", 1), "2001:db8:1::/48", nil},
	{"Host", "DnsEvents", "Domain", one("Name", "BAD%d.example.", 1), "bad1.example", nil},
	{"Host", "DeviceNetworkEvents", "Domain", one("RemoteUrl", "bad%d.example", 1), "bad1.example", nil},
	{"Host", "DeviceNetworkEvents", "Domain", one("RemoteUrl", "https://user@Bad%d.example:8443/x", 1), "bad1.example", nil},
	{"Host", "CommonSecurityLog", "Domain", one("DestinationHostName", "bad%d.example", 1), "bad1.example", nil},
	{"Host", "CommonSecurityLog", "Domain", one("RequestURL", "http://bad%d.example/y?z=http://other.example", 1), "bad1.example", nil},
	{"Host", "EmailUrlInfo", "Domain", one("UrlDomain", "bad%d.example", 1), "bad1.example", nil},
	{"URL", "EmailUrlInfo", "URL", one("Url", `https://URL%d.example/O'Path?q=a\b`, 1), `https://url1.example/O'Path?q=a\b`, nil},
	{"URL", "UrlClickEvents", "URL", one("Url", `https://url%d.example/O'Path?q=a\b`, 1), `https://url1.example/O'Path?q=a\b`, nil},
	{"URL", "CommonSecurityLog", "URL", one("RequestURL", `HTTPS://url%d.example/O'Path?q=a\b`, 1), `https://url1.example/O'Path?q=a\b`, nil},
	{"URL", "DeviceNetworkEvents", "URL", one("RemoteUrl", `https://url%d.example/O'Path?q=a\b`, 1), `https://url1.example/O'Path?q=a\b`, nil},
	{"File", "DeviceFileEvents", "FileHash", hash("A", 32, "SHA256"), strings.Repeat("a1", 32), nil},
	{"File", "EmailAttachmentInfo", "FileHash", hash("a", 32, "SHA256"), strings.Repeat("a1", 32), nil},
	{"FileMD5", "DeviceProcessEvents", "FileHash", hash("b", 16, "MD5"), strings.Repeat("b1", 16), nil},
	{"FileSHA1", "DeviceProcessEvents", "FileHash", hash("c", 20, "SHA1"), strings.Repeat("c1", 20), nil},
	{"FileSHA1", "CommonSecurityLog", "FileHash", hash("C", 20, "FileHash"), strings.Repeat("c1", 20), nil},
	{"EmailAddress", "EmailEvents", "EmailSender", one("SenderFromAddress", "O'Brien%d@mail.example", 1), "o'brien1@mail.example", nil},
	{"EmailAddress", "EmailEvents", "EmailSender", one("SenderMailFromAddress", "o'brien%d@mail.example", 1), "o'brien1@mail.example", nil},
	{"EmailAddress", "SigninLogs", "EmailSender", one("UserPrincipalName", "o'Brien%d@mail.example", 1), "o'brien1@mail.example", nil},
	{"EmailAddress", "OfficeActivity", "EmailSender", one("UserId", "O'BRIEN%d@mail.example", 1), "o'brien1@mail.example", nil},
	{"Email Subject", "EmailEvents", "EmailSubject", one("Subject", ` INVOICE %d: it's "due" \ now `, 1), `Invoice 1: it's "due" \ now`, nil},
	{"Registry Key", "DeviceRegistryEvents", "RegistryKey", registry(`HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\Bad%d`, "start'#", "Dword"),
		`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Bad1`, nil},
	{"Registry Key alone", "DeviceRegistryEvents", "RegistryKey", registry(`HKEY_CURRENT_USER\SOFTWARE\bad%d`, "any", "String"), `HKEY_CURRENT_USER\Software\Bad1`, nil},
	{"Registry Key alone", "DeviceRegistryEvents", "RegistryKey", registry(`HKEY_USERS\S-1-5-21-1-2-3-1001\Software\Bad%d`, "", ""), `HKEY_CURRENT_USER\Software\Bad1`, nil},
}

// nearMisses look much like what stands, and are not it.
var nearMisses = []sight{
	{table: "DeviceNetworkEvents", row: one("RemoteIP", "192.0.2.1%d", 1)},
	{table: "DeviceNetworkEvents", row: one("RemoteIP", "10.1.3%d.1", 1), numbers: []int{2, 8}}, // 10.1.32.1 lies just behind the block
	{table: "DeviceNetworkEvents", row: one("RemoteIP", "2001:db8:1%d:5::1", 1)},
	{table: "EmailEvents", row: one("SenderIPv4", "101.12%d.3.4", 1), numbers: []int{8}}, // 101.128.3.4 lies just behind the block
	{table: "DnsEvents", row: one("Name", "www.bad%d.example", 1)},
	{table: "DnsEvents", row: one("Name", "bad%d.example.org", 1)},
	{table: "EmailUrlInfo", row: one("Url", `https://url%d.example/o'path?q=a\b`, 1)},
	{table: "EmailUrlInfo", row: one("Url", `https://url%d.example/O'Path`, 1)},
	{table: "EmailEvents", row: one("Subject", `Re: Invoice %d: it's "due" \ now`, 1)},
	{table: "DeviceFileEvents", row: hash("d", 32, "SHA256")},
	{table: "DeviceRegistryEvents", row: registry(`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Bad%d`, "other", "Dword")},
	{table: "DeviceRegistryEvents", row: registry(`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Bad%d`, "start'#", "String")},
	{table: "DeviceRegistryEvents", row: registry(`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Bad%d\Sub`, "start'#", "Dword")},
}
