// Package builtin is the one list of the indicator types whose mappers ship with the App. The command in plugins, the
// host of the mappers and the configuration all take it from here; install.json and layout.json, which are data, are
// held to it by tests.
//
// A new type is a line here, a folder beside this one with the mapper, its constructor in plugins/main.go, and a
// parameter in install.json and layout.json.
package builtin

// Type is an indicator type that the App maps by itself.
type Type struct {
	Name     string // as the ThreatConnect API spells it
	Mapper   string // the argument that makes the executable "mappers" serve this type; also the folder of the mapper
	TTLInput string // the parameter with the time to live, in hours
	TTLLabel string // how the screen of the Service's parameters names that parameter
}

// Types are all of them, in the order in which the screen of the Service's parameters shows them.
var Types = []Type{
	{"Address", "address", "ttl_hours_address", "TTL Hours - Address"},
	{"ASN", "asn", "ttl_hours_asn", "TTL Hours - ASN"},
	{"CIDR", "cidr", "ttl_hours_cidr", "TTL Hours - CIDR"},
	{"EmailAddress", "emailaddress", "ttl_hours_email_address", "TTL Hours - Email Address"},
	{"Email Subject", "emailsubject", "ttl_hours_email_subject", "TTL Hours - Email Subject"},
	{"File", "file", "ttl_hours_file", "TTL Hours - File"},
	{"Host", "host", "ttl_hours_host", "TTL Hours - Host"},
	{"Registry Key", "registrykey", "ttl_hours_registry_key", "TTL Hours - Registry Key"},
	{"URL", "url", "ttl_hours_url", "TTL Hours - URL"},
}
