// Package config turns what the platform and the environment say into one validated struct.
//
// On the platform the inputs come from an encrypted parameter file, on a developer's machine from the environment, as
// MS_SENTINEL_ and the upper-case name of the parameter. The file wins. Everything wrong is reported at once.
package config

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"mssentinel/app/platform"
	"mssentinel/app/secret"
	"mssentinel/plugins/builtin"
)

// Config is every input of the App, checked. This is the one place where an input is declared: the tag input names its
// parameter, and label says what the screen of the Service's parameters calls it, where it is there. An input with the
// source environment is the variable MS_SENTINEL_ and its name, and no parameter. Network and Platform declare inputs
// of their own in the same way.
type Config struct {
	ClientID     string      `input:"client_id" label:"Client ID"` // GUID in lower case
	ClientSecret secret.Text `input:"client_secret" label:"Client Secret"`
	TenantID     string      `input:"tenant_id" label:"Tenant ID"`                         // GUID in lower case
	WorkspaceID  string      `input:"sentinel_workspace_id" label:"Sentinel Workspace ID"` // GUID in lower case
	SourceName   string      `input:"sentinel_source_name" label:"Sentinel Source Name"`   // as typed in
	SourceSystem string      // what Sentinel files the indicators under: ThreatConnect- and the source name

	TCAccessID  string      `input:"tc_api_access_id" label:"ThreatConnect Access ID"`
	TCSecretKey secret.Text `input:"tc_api_secret_key" label:"ThreatConnect Secret Key"`

	// ScheduleInterval is 1 to 8,760 hours.
	ScheduleInterval time.Duration `input:"schedule_interval_hours" label:"Schedule Interval Hours"`
	// TTL is the time to live of each of builtin.Types, by name; 1 to 87,600 hours. Their inputs are declared there.
	TTL        map[string]time.Duration
	AzureCloud string `input:"azure_cloud" label:"Azure Cloud"` // Public, US Government or China
	// FullUpdateInterval is 0 to 365 days; 0 means never.
	FullUpdateInterval time.Duration `input:"full_update_interval_days" label:"Full Update Interval Days"`
	// Notifications: people are told of failures in ThreatConnect. The input is On or Off.
	Notifications bool `input:"notifications" label:"ThreatConnect Notifications"`

	TCAPIPath      string      `input:"tc_api_path"`      // base of the ThreatConnect API, without a slash at its end
	TCToken        secret.Text `input:"tc_token"`         // the platform's own token; may be empty
	TCTokenExpires time.Time   `input:"tc_token_expires"` // zero: not said
	Network        platform.Network
	OutPath        string `input:"tc_out_path"`  // folder of the App's state
	LogPath        string `input:"tc_log_path"`  // folder of the log; empty means standard error
	TempPath       string `input:"tc_temp_path"` // empty means the system's
	LogFile        string `input:"tc_log_file"`  // name of the log in that folder; empty means app.log
	LogLevel       string `input:"tc_log_level"` // as the platform writes it

	AuthorityURL string `input:"authority_url" source:"environment"` // base of the login host; empty: the cloud's
	UploadURL    string `input:"upload_url" source:"environment"`    // base of the upload host; empty: the cloud's
	// LogAnalyticsURL is the base of the host that answers queries; empty: the cloud's.
	LogAnalyticsURL string `input:"log_analytics_url" source:"environment"`
	HTTPAddr        string `input:"http_addr" source:"environment"`  // loopback address of the screens in standalone mode
	MapperDir       string `input:"mapper_dir" source:"environment"` // folder of more mappers; standalone mode only

	// UploadRequestsPerMinute is 100 or less; more, or 0 for no limit, only while the upload host is loopback.
	UploadRequestsPerMinute int `input:"upload_requests_per_minute" source:"environment"`
	// UploadWindow is how long Sentinel's minute lasts; shorter only while the upload host is loopback.
	UploadWindow time.Duration `input:"upload_window_seconds" source:"environment"`

	Platform   *platform.Inputs     // nil in standalone mode
	Parameters []platform.Parameter // what came in the parameter file, by name, without values; nil where there is none
	Warnings   []string             // what did not work at start but harms nothing, for the log
}

// Resolver asks ThreatConnect for the values that the platform left as references such as &{TC:TEXT:name}. References
// maps labels to values that contain some; values has what became of them, and failures why the others are left as they
// were, by label as well: a sentence without its subject, with a remedy. The given Config is as far as it can be read
// without them: the ThreatConnect API with its token, key, certificate and proxy inputs.
type Resolver func(ctx context.Context, known Config, references map[string]string) (values map[string]string, failures map[string]error)

// Load reads all inputs. The error joins all faults, each with its label and a remedy, in one line. Config.OutPath and
// Config.LogPath are set even then, as far as they are known, so that the failure can be written down. Resolve may be
// nil: a reference is a fault then.
func Load(ctx context.Context, resolve Resolver) (Config, error) {
	return loadInputs(ctx, resolve, false)
}

// LoadAlone is [Load] for a command that serves nothing: it needs neither a platform nor an address.
func LoadAlone(ctx context.Context, resolve Resolver) (Config, error) {
	return loadInputs(ctx, resolve, true)
}

func loadInputs(ctx context.Context, resolve Resolver, alone bool) (Config, error) {
	file, err := readParamFile()
	if err != nil {
		return Config{OutPath: file.siblingFolder("out"), LogPath: file.siblingFolder("log")}, err
	}
	all, err := listInputs()
	if err != nil {
		return Config{}, err
	}
	r := newReader(all, file, alone)
	if references := r.findReferences(); resolve != nil && len(references) > 0 {
		values, failures := resolve(ctx, newReader(all, file, alone).readConfig(), references)
		r.replaceReferences(values)
		r.unresolved = failures
	}
	c := r.readConfig()
	c.Parameters = describeParameters(file, all)
	if file.warning != "" {
		c.Warnings = append(c.Warnings, file.warning)
	}
	if len(r.faults) > 0 {
		return c, r.faults
	}
	return c, nil
}

// readConfig reads every input, in the order of the screen.
func (r *reader) readConfig() Config {
	c := Config{
		ClientID:         r.readGUID("client_id", "the Application (client) ID on the Overview page of the app registration"),
		ClientSecret:     r.readClientSecret(),
		TenantID:         r.readGUID("tenant_id", "the Tenant ID on the Properties page of Microsoft Entra ID"),
		WorkspaceID:      r.readGUID("sentinel_workspace_id", "the Workspace ID on the Overview page of the Log Analytics workspace"),
		SourceName:       r.readSourceName(),
		TCAccessID:       r.readRequired("tc_api_access_id", "enter the Access ID of the ThreatConnect API user"),
		TCSecretKey:      r.readSecretKey(),
		ScheduleInterval: time.Duration(r.readWhole("schedule_interval_hours", 1, 8760)) * time.Hour,
		TTL:              map[string]time.Duration{},
	}
	// Pasted by mistake, perhaps: ThreatConnect would only say that the signature is wrong.
	if key := c.TCSecretKey.Reveal(); key != strings.TrimSpace(key) {
		c.Warnings = append(c.Warnings, "the ThreatConnect Secret Key begins or ends with a blank, which is taken for a part of it")
	}
	c.SourceSystem = sourceSystem(c.SourceName)
	for _, t := range builtin.Types {
		c.TTL[t.Name] = time.Duration(r.readWhole(t.TTLInput, 1, 87600)) * time.Hour
	}
	c.AzureCloud = r.readChoice("azure_cloud", "Public", "US Government", "China")
	c.FullUpdateInterval = time.Duration(r.readWholeOr("full_update_interval_days", 7, 0, 365)) * 24 * time.Hour
	c.Notifications = r.readChoice("notifications", "On", "Off") == "On"
	r.readThreatConnect(&c)
	r.readOperatorSettings(&c)
	if c.HTTPAddr == "" && !r.alone {
		c.Platform = r.readPlatform()
	}
	return c
}

func (r *reader) readThreatConnect(c *Config) {
	r.readRequired("tc_api_path", "set it to the base of the ThreatConnect API, such as https://example.threatconnect.com/api")
	c.TCAPIPath = r.readURL("tc_api_path")
	c.TCToken = secret.New(r.readText("tc_token"))
	r.readTokenExpiry(c)
	r.fillStruct(&c.Network)
	var warnings []string
	c.Network.Authorities, warnings = platform.ReadAuthorities()
	c.Warnings = append(c.Warnings, warnings...)
	r.checkProxies(c)
	c.OutPath = r.readRequired("tc_out_path", "set it to the folder for the App's state")
	c.LogPath = r.readText("tc_log_path")
	c.TempPath = r.readText("tc_temp_path")
	r.readLogFile(c)
	c.LogLevel = r.readText("tc_log_level")
}

// readLogFile takes a file of the log's folder and no other. What it cannot take counts as not sent, with a warning: an
// administrator could not correct it.
func (r *reader) readLogFile(c *Config) {
	name := r.readText("tc_log_file")
	if name == "" {
		return
	}
	if name == "." || name != filepath.Base(name) || !filepath.IsLocal(name) || strings.ContainsFunc(name, unicode.IsControl) {
		c.Warnings = append(c.Warnings, "tc_log_file is no name of a file, so the log is app.log")
		return
	}
	c.LogFile = name
}

// readSecretKey returns the key as it was typed: it may begin and end with any character,
// app/docs/threatconnect.md#authentication.
func (r *reader) readSecretKey() secret.Text {
	const name = "tc_api_secret_key"
	if r.readRequired(name, "enter the Secret Key of the ThreatConnect API user") == "" {
		return secret.Text{}
	}
	return secret.New(r.readVerbatim(name))
}

// readTokenExpiry treats what it cannot read as not sent, with a warning: an administrator could not correct it.
func (r *reader) readTokenExpiry(c *Config) {
	value := r.readText("tc_token_expires")
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
	c.AuthorityURL = r.readURL("authority_url")
	c.UploadURL = r.readURL("upload_url")
	c.LogAnalyticsURL = r.readURL("log_analytics_url")
	c.HTTPAddr = r.readLoopbackAddress("http_addr")
	c.MapperDir = r.readText("mapper_dir")
	if c.MapperDir != "" && c.HTTPAddr == "" && !r.alone {
		r.addFault("mapper_dir", "works in standalone mode alone: unset it, and put mappers into the package instead")
	}
	r.readPacing(c)
}

const (
	sentinelRequests      = 100 // in a window
	sentinelWindowSeconds = 60
)

// readPacing allows no more than Sentinel accepts, except against a stand-in on the same machine.
func (r *reader) readPacing(c *Config) {
	requests := r.readWholeOr("upload_requests_per_minute", sentinelRequests, 0, 1_000_000)
	window := r.readWholeOr("upload_window_seconds", sentinelWindowSeconds, 1, sentinelWindowSeconds)
	if !isLoopbackURL(c.UploadURL) {
		if requests == 0 || requests > sentinelRequests {
			r.addFault("upload_requests_per_minute", "must be 1 to 100: Microsoft Sentinel accepts no more. Only a stand-in on a loopback address may be sent more")
		}
		if window < sentinelWindowSeconds {
			r.addFault("upload_window_seconds", "must be 60: that is how long Microsoft Sentinel's minute lasts. Only a stand-in on a loopback address may have a shorter one")
		}
	}
	c.UploadRequestsPerMinute = int(requests)
	c.UploadWindow = time.Duration(window) * time.Second
}

// readPlatform returns nil where there is no platform to reach, which is a fault then.
func (r *reader) readPlatform() *platform.Inputs {
	if !r.onPlatform && r.readText("tc_svc_broker_host") == "" {
		r.faults = append(r.faults, Fault{"The parameter file", "is missing: start the App from the Services page of ThreatConnect, or set MS_SENTINEL_HTTP_ADDR (such as 127.0.0.1:8080) to run it by itself"})
		return nil
	}
	var in platform.Inputs
	r.fillStruct(&in)
	return &in
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
	secrets := []string{c.ClientSecret.Reveal(), c.TCSecretKey.Reveal(), c.TCToken.Reveal(), c.Network.ProxyPassword.Reveal()}
	if p := c.Platform; p != nil {
		secrets = append(secrets, p.BrokerToken.Reveal(), p.StorePassword.Reveal())
	}
	return secrets
}
