package tcserver

// indicatorType is one row of /v2/types/indicatorTypes and what documents of the type look like.
type indicatorType struct {
	name           string
	branch, entity string
	casePreference string
	custom         bool
	members        []string // that hold the parts of the summary
	labels         []string // of the parts, where they are not called like the members
	link           string   // page and parameter of legacyLink
}

// types are in the order of their ids, from 1.
var types = []indicatorType{
	{"Address", "addresses", "address", "upper", false, []string{"ip"}, nil, "address.xhtml?address="},
	{"EmailAddress", "emailAddresses", "emailAddress", "lower", false, []string{"address"}, nil, "emailaddress.xhtml?emailaddress="},
	{"File", "files", "file", "upper", false, []string{"md5", "sha1", "sha256"}, []string{"MD5", "SHA1", "SHA256"}, "file.xhtml?file="},
	{"Host", "hosts", "host", "lower", false, []string{"hostName"}, nil, "host.xhtml?host="},
	{"URL", "urls", "url", "sensitive", false, []string{"text"}, nil, "url.xhtml?orgid="},
	{"ASN", "asns", "asn", "upper", true, []string{"AS Number"}, nil, customLink},
	{"CIDR", "cidrBlocks", "cidrBlock", "lower", true, []string{"Block"}, nil, customLink},
	{"Email Subject", "emailSubjects", "emailSubject", "sensitive", true, []string{"Subject"}, nil, customLink},
	{"Hashtag", "hashtags", "hashtag", "sensitive", true, []string{"Hashtag"}, nil, customLink},
	{"Mutex", "mutexes", "mutex", "sensitive", true, []string{"Mutex"}, nil, customLink},
	{"Registry Key", "registryKeys", "registryKey", "sensitive", true, []string{"Key Name", "Value Name", "Value Type"}, nil, customLink},
	{"User Agent", "userAgents", "userAgent", "sensitive", true, []string{"User Agent String"}, nil, customLink},
}

const customLink = "customIndicator.xhtml?id="

func typeNamed(name string) (t indicatorType, id int64) {
	for i := range types {
		if types[i].name == name {
			return types[i], int64(i + 1)
		}
	}
	return indicatorType{name: name}, 0
}

// internType returns the table's own copy of a name.
func internType(name string) string {
	t, _ := typeNamed(name)
	return t.name
}
