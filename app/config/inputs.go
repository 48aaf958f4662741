package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// prefix stands before the upper-case name of a parameter in the environment.
const prefix = "MS_SENTINEL_"

// The structs below hold what the environment gives, as text. A tag carries the whole name of the variable, because
// envconfig would otherwise also read the variable without the prefix. A field without a label has no place on a screen:
// its parameter is named instead.

// parameters are those an administrator fills in, in the order of the screen. install.json declares the same ones.
type parameters struct {
	ClientID           string `envconfig:"MS_SENTINEL_CLIENT_ID" label:"Client ID"`
	ClientSecret       string `envconfig:"MS_SENTINEL_CLIENT_SECRET" label:"Client Secret"`
	TenantID           string `envconfig:"MS_SENTINEL_TENANT_ID" label:"Tenant ID"`
	WorkspaceID        string `envconfig:"MS_SENTINEL_SENTINEL_WORKSPACE_ID" label:"Sentinel Workspace ID"`
	SourceName         string `envconfig:"MS_SENTINEL_SENTINEL_SOURCE_NAME" label:"Sentinel Source Name"`
	TCAccessID         string `envconfig:"MS_SENTINEL_TC_API_ACCESS_ID" label:"ThreatConnect Access ID"`
	TCSecretKey        string `envconfig:"MS_SENTINEL_TC_API_SECRET_KEY" label:"ThreatConnect Secret Key"`
	ScheduleInterval   string `envconfig:"MS_SENTINEL_SCHEDULE_INTERVAL_HOURS" label:"Schedule Interval Hours"`
	TTLAddress         string `envconfig:"MS_SENTINEL_TTL_HOURS_ADDRESS" label:"TTL Hours - Address"`
	TTLASN             string `envconfig:"MS_SENTINEL_TTL_HOURS_ASN" label:"TTL Hours - ASN"`
	TTLCIDR            string `envconfig:"MS_SENTINEL_TTL_HOURS_CIDR" label:"TTL Hours - CIDR"`
	TTLEmailAddress    string `envconfig:"MS_SENTINEL_TTL_HOURS_EMAIL_ADDRESS" label:"TTL Hours - Email Address"`
	TTLEmailSubject    string `envconfig:"MS_SENTINEL_TTL_HOURS_EMAIL_SUBJECT" label:"TTL Hours - Email Subject"`
	TTLFile            string `envconfig:"MS_SENTINEL_TTL_HOURS_FILE" label:"TTL Hours - File"`
	TTLHost            string `envconfig:"MS_SENTINEL_TTL_HOURS_HOST" label:"TTL Hours - Host"`
	TTLRegistryKey     string `envconfig:"MS_SENTINEL_TTL_HOURS_REGISTRY_KEY" label:"TTL Hours - Registry Key"`
	TTLURL             string `envconfig:"MS_SENTINEL_TTL_HOURS_URL" label:"TTL Hours - URL"`
	AzureCloud         string `envconfig:"MS_SENTINEL_AZURE_CLOUD" label:"Azure Cloud"`
	FullUpdateInterval string `envconfig:"MS_SENTINEL_FULL_UPDATE_INTERVAL_DAYS" label:"Full Update Interval Days"`
}

// platformParameters are what the platform itself adds, spec §1.4.
type platformParameters struct {
	APIPath      string `envconfig:"MS_SENTINEL_TC_API_PATH"`
	Token        string `envconfig:"MS_SENTINEL_TC_TOKEN"`
	TokenExpires string `envconfig:"MS_SENTINEL_TC_TOKEN_EXPIRES"`
	Verify       string `envconfig:"MS_SENTINEL_TC_VERIFY"`
	OutPath      string `envconfig:"MS_SENTINEL_TC_OUT_PATH"`
	LogPath      string `envconfig:"MS_SENTINEL_TC_LOG_PATH"`
	TempPath     string `envconfig:"MS_SENTINEL_TC_TEMP_PATH"`
	LogLevel     string `envconfig:"MS_SENTINEL_TC_LOG_LEVEL"`

	ProxyHost     string `envconfig:"MS_SENTINEL_TC_PROXY_HOST"`
	ProxyPort     string `envconfig:"MS_SENTINEL_TC_PROXY_PORT"`
	ProxyUser     string `envconfig:"MS_SENTINEL_TC_PROXY_USERNAME"`
	ProxyPassword string `envconfig:"MS_SENTINEL_TC_PROXY_PASSWORD"`
	ProxyTC       string `envconfig:"MS_SENTINEL_TC_PROXY_TC"`
	ProxyExternal string `envconfig:"MS_SENTINEL_TC_PROXY_EXTERNAL"`

	BrokerHost       string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_HOST"`
	BrokerPort       string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_PORT"`
	BrokerToken      string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_TOKEN"`
	BrokerTimeout    string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_CONN_TIMEOUT"`
	ServerTopic      string `envconfig:"MS_SENTINEL_TC_SVC_SERVER_TOPIC"`
	ClientTopic      string `envconfig:"MS_SENTINEL_TC_SVC_CLIENT_TOPIC"`
	HeartbeatTimeout string `envconfig:"MS_SENTINEL_TC_SVC_HB_TIMEOUT_SECONDS"`
	CAFile           string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_CACERT_FILE"`
	CertFile         string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_CERT_FILE"`
	KeyFile          string `envconfig:"MS_SENTINEL_TC_SVC_BROKER_KEY_FILE"`

	StoreType     string `envconfig:"MS_SENTINEL_TC_KVSTORE_TYPE"`
	StoreHost     string `envconfig:"MS_SENTINEL_TC_KVSTORE_HOST"`
	StorePort     string `envconfig:"MS_SENTINEL_TC_KVSTORE_PORT"`
	StoreUser     string `envconfig:"MS_SENTINEL_TC_KVSTORE_USER"`
	StorePassword string `envconfig:"MS_SENTINEL_TC_KVSTORE_PASS"`
	StoreTLS      string `envconfig:"MS_SENTINEL_TC_KVSTORE_TLS_ENABLED"`
	StoreTLSPort  string `envconfig:"MS_SENTINEL_TC_KVSTORE_TLS_PORT"`
	StoreTLSDB    string `envconfig:"MS_SENTINEL_TC_PLAYBOOK_KVSTORE_ID"`
}

// operatorSettings come from the environment alone: a parameter of the same name in the parameter file means nothing.
type operatorSettings struct {
	AuthorityURL        string `envconfig:"MS_SENTINEL_AUTHORITY_URL" source:"environment"`
	UploadURL           string `envconfig:"MS_SENTINEL_UPLOAD_URL" source:"environment"`
	HTTPAddr            string `envconfig:"MS_SENTINEL_HTTP_ADDR" source:"environment"`
	MapperDir           string `envconfig:"MS_SENTINEL_MAPPER_DIR" source:"environment"`
	RequestsPerMinute   string `envconfig:"MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE" source:"environment"`
	BrokerNameCheck     string `envconfig:"MS_SENTINEL_BROKER_NAME_CHECK" source:"environment"`
	UploadWindowSeconds string `envconfig:"MS_SENTINEL_UPLOAD_WINDOW_SECONDS" source:"environment"`
}

// field is one input: its parameter name, what a person calls it, and its value, where "" means unset.
type field struct {
	name, label, value string
	environmentOnly    bool
}

// fields lists every input in the order of the structs, with the values of the environment.
func fields() ([]field, error) {
	var all []field
	for _, group := range []any{new(parameters), new(platformParameters), new(operatorSettings)} {
		if err := envconfig.Process("", group); err != nil {
			return nil, fmt.Errorf("reading the environment: %w", err)
		}
		values := reflect.ValueOf(group).Elem()
		for i := range values.NumField() {
			all = append(all, newField(values.Type().Field(i), values.Field(i).String()))
		}
	}
	return all, nil
}

func newField(member reflect.StructField, value string) field {
	variable := member.Tag.Get("envconfig")
	f := field{
		name:            strings.ToLower(strings.TrimPrefix(variable, prefix)),
		label:           member.Tag.Get("label"),
		value:           value,
		environmentOnly: member.Tag.Get("source") == "environment",
	}
	switch {
	case f.environmentOnly:
		f.label = variable
	case f.label == "":
		f.label = f.name
	}
	return f
}

// overlay lets the values of the parameter file win over those of the environment.
func overlay(all []field, values map[string]string) {
	for i := range all {
		if value := values[all[i].name]; strings.TrimSpace(value) != "" {
			all[i].value = value
		}
	}
}
