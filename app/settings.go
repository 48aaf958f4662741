package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/doctor"
	"mssentinel/app/mapping"
	"mssentinel/app/sentinel"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
	"mssentinel/app/web"
)

// listSettings is what the Service was given, under the names that the screen of its parameters has, and what it is made
// of. Of a secret it says that there is one.
func listSettings(c config.Config, mappers []mapping.Installed, refused []mapping.Refusal) []web.SettingGroup {
	return []web.SettingGroup{
		{Title: "Microsoft Sentinel", Settings: []web.Setting{
			{Label: "Sentinel Workspace ID", Value: c.WorkspaceID}, {Label: "Sentinel Source Name", Value: c.SourceName},
			{Label: "Listed in Sentinel as", Value: c.SourceSystem}, {Label: "Azure Cloud", Value: c.AzureCloud},
			{Label: "Tenant ID", Value: c.TenantID}, {Label: "Client ID", Value: c.ClientID},
			{Label: "Client Secret", Value: tellSet(c.ClientSecret.Reveal())},
			{Label: "Requests", Value: tellLimit(c)},
		}},
		{Title: "ThreatConnect", Settings: []web.Setting{
			{Label: "API", Value: c.TCAPIPath}, {Label: "ThreatConnect Access ID", Value: tellSet(c.TCAccessID)},
			{Label: "ThreatConnect Secret Key", Value: tellSet(c.TCSecretKey.Reveal())},
			{Label: "ThreatConnect Notifications", Value: map[bool]string{true: "On", false: "Off"}[c.Notifications]},
		}},
		{Title: "Schedule", Settings: []web.Setting{
			{Label: "Schedule Interval", Value: tellHours(c.ScheduleInterval)},
			{Label: "Full Update Interval", Value: tellFullInterval(c.FullUpdateInterval)},
		}},
		{Title: "Times to live", Note: "How long an object stands in Sentinel after it was last sent.", Settings: listTTLs(c)},
		{Title: "Versions", Settings: []web.Setting{
			{Label: "App", Value: version}, {Label: "Go", Value: runtime.Version()}, {Label: "Machine", Value: runtime.GOOS + "/" + runtime.GOARCH},
		}},
		{Title: "Kept on this machine", Settings: []web.Setting{
			{Label: "State", Value: c.OutPath}, {Label: "Log", Value: cmp.Or(c.LogPath, "standard error")},
		}},
		mapperSettings(mappers), refusedMappers(refused),
	}
}

// tellSet says of a secret whether there is one, and nothing else.
func tellSet(value string) string {
	if value == "" {
		return "not set"
	}
	return "set"
}

func tellLimit(c config.Config) string {
	if c.UploadRequestsPerMinute == 0 {
		return "no limit"
	}
	return fmt.Sprintf("at most %d in %.0f s", c.UploadRequestsPerMinute, c.UploadWindow.Seconds())
}

func tellHours(d time.Duration) string { return fmt.Sprintf("%.0f h", d.Hours()) }

func tellFullInterval(d time.Duration) string {
	if d == 0 {
		return "never by itself"
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

func listTTLs(c config.Config) []web.Setting {
	var settings []web.Setting
	for _, name := range slices.Sorted(maps.Keys(c.TTL)) {
		settings = append(settings, web.Setting{Label: name, Value: tellHours(c.TTL[name])})
	}
	return settings
}

func mapperSettings(mappers []mapping.Installed) web.SettingGroup {
	group := web.SettingGroup{Title: "Mappers", Heads: []string{"Type", "Mapper", "Version", "File", "SHA-256"}}
	for _, m := range mappers {
		name := m.Name
		if m.Builtin {
			name += " (built in)"
		}
		group.Rows = append(group.Rows, []string{m.Type, name, m.Version, filepath.Base(m.File), m.Checksum})
	}
	return group
}

// refusedMappers tells which executables of the mappers' folders serve nothing, and what to do about it.
func refusedMappers(refused []mapping.Refusal) web.SettingGroup {
	group := web.SettingGroup{Title: "Refused mappers"}
	if len(refused) == 0 {
		group.Note = "None. An executable that cannot serve as a mapper would be named here, with the reason."
		return group
	}
	group.Heads = []string{"File", "Why, and what to do"}
	for _, r := range refused {
		group.Rows = append(group.Rows, []string{filepath.Base(r.Path), text.Sentence(r.Reason)})
	}
	return group
}

// listConnections are the services outside that a person can have tested on SETTINGS.
func listConnections(c config.Config, tc *threatconnect.Client, upload *sentinel.Client) []web.Connection {
	return []web.Connection{
		{Slug: "threatconnect", Name: "ThreatConnect", Test: func(ctx context.Context) (bool, []string) {
			found := doctor.TestThreatConnect(ctx, tc)
			return found.Works, found.Found
		}},
		{Slug: "sentinel", Name: "Microsoft Sentinel", Test: func(ctx context.Context) (bool, []string) {
			found := doctor.TestSentinel(ctx, doctor.AzureOptions{Client: upload, Source: c.SourceSystem})
			return found.Works, found.Found
		}},
	}
}
