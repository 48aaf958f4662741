// Package config turns what the platform and the environment say into one validated struct.
//
// On the platform the inputs come from an encrypted parameter file, on a developer's machine from the environment, as
// MS_SENTINEL_ and the upper-case name of the parameter. The file wins. Everything wrong is reported at once.
package config

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Config is every input of the App, checked.
type Config struct {
	ClientID     string // GUID in lower case
	ClientSecret Secret
	TenantID     string // GUID in lower case
	WorkspaceID  string // GUID in lower case
	SourceName   string // as typed in
	SourceSystem string // what Sentinel files the indicators under: ThreatConnect- and the source name

	TCAccessID     string
	TCSecretKey    Secret
	TCToken        Secret    // the platform's own token; may be empty
	TCTokenExpires time.Time // zero: not said
	TCAPIPath      string    // base of the ThreatConnect API, without a slash at its end
	Verify         bool      // verify the certificate of the ThreatConnect API
	Proxy          Proxy

	ScheduleInterval   time.Duration            // 1 to 8,760 hours
	FullUpdateInterval time.Duration            // 0 to 365 days; 0 means never
	TTL                map[string]time.Duration // by ThreatConnect type, such as "Email Subject"; 1 to 87,600 hours

	AzureCloud              string        // Public, US Government or China
	AuthorityURL            string        // base of the login host; empty means the cloud's own
	UploadURL               string        // base of the upload host; empty means the cloud's own
	UploadRequestsPerMinute int           // 100 or less; more, or 0 for no limit, only while the upload host is loopback
	UploadWindow            time.Duration // how long Sentinel's minute lasts; shorter only while the upload host is loopback

	HTTPAddr  string // loopback address of the screens in standalone mode
	MapperDir string // folder of more mappers, standalone mode only; may be empty

	OutPath  string // state
	LogPath  string // empty means standard error
	TempPath string // empty means the system's
	LogLevel string // as the platform writes it

	Platform *PlatformInputs // nil in standalone mode
	Warnings []string        // what did not work at start but harms nothing, for the log
}

// Proxy is the platform's proxy, and what it is meant for.
type Proxy struct {
	Host     string
	Port     int // 0 when not said
	User     string
	Password Secret
	TC       bool // use it for the ThreatConnect API
	External bool // use it for other hosts
}

// PlatformInputs say how to reach the platform's broker and key-value store, spec §1.4. Zero values mean the platform's
// defaults.
type PlatformInputs struct {
	BrokerHost       string
	BrokerPort       int
	BrokerToken      Secret
	BrokerTimeout    time.Duration // connect deadline and keep-alive
	ServerTopic      string        // the platform's messages
	ClientTopic      string        // ours
	HeartbeatTimeout time.Duration
	AnyBrokerName    bool // take the broker's certificate whatever host it names

	CAFile   string
	CertFile string
	KeyFile  string

	StoreType     string // Redis or TCKeyValueAPI
	StoreHost     string
	StorePort     int
	StoreUser     string
	StorePassword Secret
	StoreTLS      bool
	StoreTLSPort  int
	StoreTLSDB    int
}

// Resolver asks ThreatConnect for the values that the platform left as references such as &{TC:TEXT:name}. References
// maps labels to values that contain some; the answer has the same keys. The given Config is as far as it can be read
// without them: the ThreatConnect API with its token, certificate and proxy inputs.
type Resolver func(ctx context.Context, known Config, references map[string]string) (map[string]string, error)

// Load reads all inputs. The error joins all faults, each with its label and a remedy, in one line. Config.OutPath and
// Config.LogPath are set even then, as far as they are known, so that the failure can be written down. Resolve may be
// nil: a reference is a fault then.
func Load(ctx context.Context, resolve Resolver) (Config, error) {
	file, err := readParamFile()
	if err != nil {
		return Config{OutPath: file.beside("out"), LogPath: file.beside("log")}, err
	}
	all, err := fields()
	if err != nil {
		return Config{}, err
	}
	r := newReader(all, file)
	if references := r.references(); resolve != nil && len(references) > 0 {
		resolved, err := resolve(ctx, newReader(all, file).config(), references)
		if err != nil {
			c := r.config()
			return c, r.faults.unresolved(references, err)
		}
		r.replace(resolved)
	}
	c := r.config()
	if file.warning != "" {
		c.Warnings = append(c.Warnings, file.warning)
	}
	if len(r.faults) > 0 {
		return c, r.faults
	}
	return c, nil
}

// ttlParameters maps the types of the ThreatConnect API to the parameters with their time to live.
var ttlParameters = []struct{ typ, parameter string }{
	{"Address", "ttl_hours_address"},
	{"ASN", "ttl_hours_asn"},
	{"CIDR", "ttl_hours_cidr"},
	{"EmailAddress", "ttl_hours_email_address"},
	{"Email Subject", "ttl_hours_email_subject"},
	{"File", "ttl_hours_file"},
	{"Host", "ttl_hours_host"},
	{"Registry Key", "ttl_hours_registry_key"},
	{"URL", "ttl_hours_url"},
}

// config reads every input, in the order of the screen.
func (r *reader) config() Config {
	c := Config{
		ClientID:         r.guid("client_id", "the Application (client) ID on the Overview page of the app registration"),
		ClientSecret:     r.clientSecret(),
		TenantID:         r.guid("tenant_id", "the Tenant ID on the Properties page of Microsoft Entra ID"),
		WorkspaceID:      r.guid("sentinel_workspace_id", "the Workspace ID on the Workspace settings tab of Microsoft Sentinel"),
		SourceName:       r.sourceName(),
		TCAccessID:       r.required("tc_api_access_id", "enter the Access ID of the ThreatConnect API user"),
		TCSecretKey:      r.secretKey(),
		ScheduleInterval: time.Duration(r.whole("schedule_interval_hours", 1, 8760)) * time.Hour,
		TTL:              map[string]time.Duration{},
	}
	// Pasted by mistake, perhaps: ThreatConnect would only say that the signature is wrong.
	if key := c.TCSecretKey.Reveal(); key != strings.TrimSpace(key) {
		c.Warnings = append(c.Warnings, "the ThreatConnect Secret Key begins or ends with a blank, which is taken for a part of it")
	}
	c.SourceSystem = sourceSystem(c.SourceName)
	for _, p := range ttlParameters {
		c.TTL[p.typ] = time.Duration(r.whole(p.parameter, 1, 87600)) * time.Hour
	}
	c.AzureCloud = r.choice("azure_cloud", "Public", "US Government", "China")
	c.FullUpdateInterval = time.Duration(r.wholeOr("full_update_interval_days", 7, 0, 365)) * 24 * time.Hour
	r.readThreatConnect(&c)
	r.readOperatorSettings(&c)
	if c.HTTPAddr == "" {
		c.Platform = r.platform()
	}
	return c
}

func (r *reader) readThreatConnect(c *Config) {
	r.required("tc_api_path", "set it to the base of the ThreatConnect API, such as https://example.threatconnect.com/api")
	c.TCAPIPath = r.address("tc_api_path")
	c.TCToken = NewSecret(r.text("tc_token"))
	r.readTokenExpiry(c)
	c.Verify = r.boolean("tc_verify", true)
	c.Proxy = Proxy{
		Host:     r.text("tc_proxy_host"),
		Port:     r.port("tc_proxy_port"),
		User:     r.text("tc_proxy_username"),
		Password: NewSecret(r.verbatim("tc_proxy_password")),
		TC:       r.boolean("tc_proxy_tc", false),
		External: r.boolean("tc_proxy_external", false),
	}
	c.OutPath = r.required("tc_out_path", "set it to the folder for the App's state")
	c.LogPath = r.text("tc_log_path")
	c.TempPath = r.text("tc_temp_path")
	c.LogLevel = r.text("tc_log_level")
}

// secretKey is the key as it was typed: it may begin and end with any character (threatconnect-api.md §1).
func (r *reader) secretKey() Secret {
	const name = "tc_api_secret_key"
	if r.required(name, "enter the Secret Key of the ThreatConnect API user") == "" {
		return Secret{}
	}
	return NewSecret(r.verbatim(name))
}

// readTokenExpiry takes what it cannot read for not said: nobody but the platform could put it right.
func (r *reader) readTokenExpiry(c *Config) {
	value := r.text("tc_token_expires")
	if value == "" {
		return
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		c.Warnings = append(c.Warnings, "tc_token_expires is no time in seconds, so the token counts as valid until ThreatConnect refuses it")
		return
	}
	if seconds > 0 {
		c.TCTokenExpires = time.Unix(seconds, 0)
	}
}

func (r *reader) readOperatorSettings(c *Config) {
	c.AuthorityURL = r.address("authority_url")
	c.UploadURL = r.address("upload_url")
	c.HTTPAddr = r.loopbackAddress("http_addr")
	c.MapperDir = r.text("mapper_dir")
	if c.MapperDir != "" && c.HTTPAddr == "" {
		r.fail("mapper_dir", "works in standalone mode alone: unset it, and put mappers into the package instead")
	}
	r.readPacing(c)
}

const (
	sentinelRequests      = 100 // in a window
	sentinelWindowSeconds = 60
)

// readPacing lets nobody outrun Sentinel, except against a stand-in on the same machine.
func (r *reader) readPacing(c *Config) {
	requests := r.wholeOr("upload_requests_per_minute", sentinelRequests, 0, 1_000_000)
	window := r.wholeOr("upload_window_seconds", sentinelWindowSeconds, 1, sentinelWindowSeconds)
	if !isLoopbackURL(c.UploadURL) {
		if requests == 0 || requests > sentinelRequests {
			r.fail("upload_requests_per_minute", "must be 1 to 100: Microsoft Sentinel accepts no more. Only a stand-in on a loopback address may be sent more")
		}
		if window < sentinelWindowSeconds {
			r.fail("upload_window_seconds", "must be 60: that is how long Microsoft Sentinel's minute lasts. Only a stand-in on a loopback address may have a shorter one")
		}
	}
	c.UploadRequestsPerMinute = int(requests)
	c.UploadWindow = time.Duration(window) * time.Second
}

func (r *reader) platform() *PlatformInputs {
	if !r.onPlatform && r.text("tc_svc_broker_host") == "" {
		r.faults = append(r.faults, Fault{"The parameter file", "is missing: start the App from the Services page of ThreatConnect, or set MS_SENTINEL_HTTP_ADDR (such as 127.0.0.1:8080) to run it by itself"})
		return nil
	}
	const fromPlatform = "ThreatConnect sends it when the Service is turned on"
	r.required("tc_svc_broker_port", fromPlatform)
	return &PlatformInputs{
		BrokerHost:       r.required("tc_svc_broker_host", fromPlatform),
		BrokerPort:       int(r.wholeOr("tc_svc_broker_port", 0, 1, 65535)),
		BrokerToken:      NewSecret(r.verbatim("tc_svc_broker_token")),
		BrokerTimeout:    r.seconds("tc_svc_broker_conn_timeout", 65535), // also the keep-alive, for which MQTT has two bytes
		ServerTopic:      r.required("tc_svc_server_topic", fromPlatform),
		ClientTopic:      r.required("tc_svc_client_topic", fromPlatform),
		HeartbeatTimeout: r.seconds("tc_svc_hb_timeout_seconds", 86400),
		AnyBrokerName:    !r.boolean("broker_name_check", true),
		CAFile:           r.text("tc_svc_broker_cacert_file"),
		CertFile:         r.text("tc_svc_broker_cert_file"),
		KeyFile:          r.text("tc_svc_broker_key_file"),
		StoreType:        r.choice("tc_kvstore_type", "Redis", "TCKeyValueAPI"),
		StoreHost:        r.text("tc_kvstore_host"),
		StorePort:        r.port("tc_kvstore_port"),
		StoreUser:        r.text("tc_kvstore_user"),
		StorePassword:    NewSecret(r.verbatim("tc_kvstore_pass")),
		StoreTLS:         r.boolean("tc_kvstore_tls_enabled", false),
		StoreTLSPort:     r.port("tc_kvstore_tls_port"),
		StoreTLSDB:       int(r.wholeOr("tc_playbook_kvstore_id", 0, 0, 1<<20)),
	}
}

// sourceSystem puts ThreatConnect- before the name, once and in the spelling that the vendor's workbook looks for.
func sourceSystem(name string) string {
	const lead = "ThreatConnect-"
	if len(name) >= len(lead) && strings.EqualFold(name[:len(lead)], lead) {
		name = name[len(lead):]
	}
	if name == "" {
		return ""
	}
	return lead + name
}

// Secrets lists every secret among the inputs, so that the log can mask them.
func (c Config) Secrets() []string {
	secrets := []string{c.ClientSecret.Reveal(), c.TCSecretKey.Reveal(), c.TCToken.Reveal(), c.Proxy.Password.Reveal()}
	if p := c.Platform; p != nil {
		secrets = append(secrets, p.BrokerToken.Reveal(), p.StorePassword.Reveal())
	}
	return secrets
}
