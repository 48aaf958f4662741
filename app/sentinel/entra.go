package sentinel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mssentinel/app/retry"
	"mssentinel/app/text"
)

// loginErrors are those that an operator can do something about, by AADSTS number, app/docs/sentinel.md#login-errors.
var loginErrors = map[int]ConfigError{
	7000215: {"Microsoft Entra refuses the client secret.",
		"Enter the secret's value, not its ID, as Client Secret. " +
			"If it is lost, create a new one under Certificates & secrets of the app registration."},
	7000222: {"The client secret has expired.",
		"Create a new one under Certificates & secrets of the app registration, and enter its value as Client Secret."},
	7000218: {"Microsoft Entra got no client secret.", "Enter the Client Secret."},
	700016: {"Microsoft Entra does not know the application in this tenant.",
		"Compare Client ID and Tenant ID with the app registration's Overview."},
	90002: {"Microsoft Entra does not know the tenant.",
		"Compare Tenant ID with the app registration's Overview, and check Azure Cloud."},
	900023: {"The tenant ID is not valid.", "Compare Tenant ID with the app registration's Overview."},
	7000112: {"The application is disabled in this tenant.",
		"Enable it under Enterprise applications, Properties."},
	53003: {"A Conditional Access policy blocks the application.",
		"Allow this workload identity, from the address of the ThreatConnect server, in Conditional Access."},
	53011: {"Microsoft Entra considers the application at risk and blocks it.",
		"Dismiss the risk under Risky workload identities in Microsoft Entra."},
	70011:   {"Microsoft Entra refuses the scope.", "Check Azure Cloud: it has to be the cloud of the tenant."},
	1002012: {"Microsoft Entra refuses the scope.", "Check Azure Cloud: it has to be the cloud of the tenant."},
	500011: {"Microsoft Entra does not know the scope in this tenant.",
		"Check Azure Cloud: it has to be the cloud of the tenant."},
	900382: {"The tenant belongs to another cloud.", "Choose the cloud of the tenant as Azure Cloud."},
}

// transientErrors pass by themselves, though they come with the status of one that does not.
var transientErrors = map[int]bool{50196: true, 90033: true, 90055: true}

// oauthErrors are the words of OAuth and Entra in the member error, and whether the cause passes by itself.
var oauthErrors = map[string]bool{
	"invalid_request": false, "invalid_client": false, "invalid_grant": false, "unauthorized_client": false,
	"unsupported_grant_type": false, "invalid_scope": false, "invalid_resource": false, "access_denied": false,
	"interaction_required": false, "consent_required": false, "server_error": true, "temporarily_unavailable": true,
}

// entraError reads an answer of the login whose status is not 200. The body has been redacted. The error is a
// *[ConfigError] or an *unavailableError. A refusal is Entra's only in Entra's form.
func entraError(status int, header http.Header, body []byte, now time.Time) error {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
	}
	json.Unmarshal(body, &answer) //nolint:errcheck // what is no JSON has no code
	code := 0
	if len(answer.Codes) > 0 {
		code = answer.Codes[0]
	} else {
		fmt.Sscanf(answer.Description, "AADSTS%d:", &code) //nolint:errcheck // 0 then
	}
	if known, ok := loginErrors[code]; ok && status < 500 {
		known.Message = fmt.Sprintf("%s (AADSTS%d).", strings.TrimSuffix(known.Message, "."), code)
		return &known
	}
	passes, isEntras := oauthErrors[answer.Error]
	summary, _, _ := strings.Cut(answer.Description, "\r\n")
	final := status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
	if final && (isEntras || code > 0) && !passes && !transientErrors[code] {
		return fault{
			"Microsoft Entra refuses the login: " + text.Line(answer.Error+" "+summary, maxLine),
			"Check Tenant ID, Client ID, Client Secret and Azure Cloud.",
		}.configError()
	}
	wait, _ := retry.After(header, now)
	a := parseAnswer(header, body, 0)
	outOfOrder := status == http.StatusTooManyRequests || status >= 400 && passesByItself(status)
	if !isEntras && code == 0 && (a.form == formPage || !outOfOrder) {
		return &unavailableError{wait, foreignFault("Microsoft Entra", status, header, a.describe(status))}
	}
	said := fmt.Sprintf("Microsoft Entra is out of order: status %d, %s", status, a.text)
	return &unavailableError{wait, fault{message: strings.TrimRight(text.Line(said, maxLine), ", ")}}
}
