package platform

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
)

// reference is a ThreatConnect variable that the platform left for the App to resolve, app/docs/platform.md#variables.
var reference = regexp.MustCompile(`&\{(TC|Vault):(TEXT|KEYCHAIN|FILE):([A-Za-z0-9_.\-\[\]]+)\}`)

// Resolve returns inputs, values by name, with every variable reference replaced by what ThreatConnect holds for it, and
// by name why it could not: a sentence without its subject, which is the input, and with a remedy. An input that failed
// is left as it was. The credentials are tried in their order. Without references nothing is asked.
func Resolve(ctx context.Context, inputs map[string]string, api API, credentials ...Credential) (map[string]string, map[string]error) {
	values, failures := maps.Clone(inputs), map[string]error{}
	for name, value := range inputs {
		plain, err := replaceReferences(ctx, value, api, credentials)
		if err != nil {
			failures[name] = err
			continue
		}
		values[name] = plain
	}
	return values, failures
}

func replaceReferences(ctx context.Context, value string, api API, credentials []Credential) (string, error) {
	var failed []error
	plain := reference.ReplaceAllStringFunc(value, func(ref string) string {
		data, err := lookUp(ctx, api, credentials, ref, ref == value)
		if err != nil {
			failed = append(failed, fmt.Errorf("refers to the ThreatConnect variable %s, which could not be resolved (%w). "+
				"Choose another variable or type the value in", ref, err))
		}
		return data
	})
	return plain, errors.Join(failed...)
}

// lookUp asks for one reference; whole says that it is all there is in its input. What one credential is refused, the
// next may be given: a variable belongs to a user or to an organization. The error says what was tried.
func lookUp(ctx context.Context, api API, credentials []Credential, ref string, whole bool) (string, error) {
	parts := reference.FindStringSubmatch(ref)
	provider, kind, key := parts[1], parts[2], parts[3]
	if len(credentials) == 0 {
		return "", errors.New("nothing proves who asks: ThreatConnect sent no token, and the Access ID or the Secret Key is missing or a variable itself")
	}
	var tried []string
	for _, c := range credentials {
		data, err := askVariable(ctx, api, c, "/internal/variable/runtime/"+percentEncode(provider)+"/"+percentEncode(key))
		if err == nil {
			return variableText(data, kind, whole)
		}
		tried = append(tried, fmt.Sprintf("with %s: %v", c.Name, err))
		if ctx.Err() != nil || !isRefusal(err) {
			break
		}
	}
	return "", errors.New(strings.Join(tried, "; "))
}

var errNoValue = errors.New("ThreatConnect's answer holds no value")

func askVariable(ctx context.Context, api API, c Credential, path string) (string, error) {
	data, err := api.sendRequest(ctx, http.MethodGet, path, c.Authorize, nil, 1<<20)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data *string `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Data == nil {
		return "", errNoValue // such as a sign-in page
	}
	return *answer.Data, nil
}

// isRefusal tells an answer that another credential may change from a failure that it cannot.
func isRefusal(err error) bool {
	return !isTemporary(err) || errors.Is(err, errNoCredential) || errors.Is(err, errNoValue)
}

// variableText turns a variable's data into text. A file comes in Base64; inside a longer value it becomes "<file>".
func variableText(data, kind string, whole bool) (string, error) {
	if kind != "FILE" {
		return data, nil
	}
	if !whole {
		return "<file>", nil
	}
	content, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return "", fmt.Errorf("its content is damaged: %w", err)
	}
	return string(content), nil
}
