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
	"slices"
)

// reference is a ThreatConnect variable that the platform left for the App to resolve, app/docs/platform.md#variables.
var reference = regexp.MustCompile(`&\{(TC|Vault):(TEXT|KEYCHAIN|FILE):([A-Za-z0-9_.\-\[\]]+)\}`)

// Resolve returns inputs, values by name, with every variable reference replaced by what ThreatConnect holds for it. The
// error joins all that could not be resolved, each with the name of its input. Without references nothing is asked, and
// tokens may be nil.
func Resolve(ctx context.Context, inputs map[string]string, api API, tokens *TokenSource) (map[string]string, error) {
	out := maps.Clone(inputs)
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		value := inputs[name]
		out[name] = reference.ReplaceAllStringFunc(value, func(ref string) string {
			plain, err := lookUp(ctx, api, tokens, ref, ref == value)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s refers to the ThreatConnect variable %s, which could not be resolved (%w). Choose another variable or type the value in", name, ref, err))
				return ref
			}
			return plain
		})
	}
	return out, errors.Join(faults...)
}

// lookUp asks for one reference; whole says that it is all there is in its input.
func lookUp(ctx context.Context, api API, tokens *TokenSource, ref string, whole bool) (string, error) {
	parts := reference.FindStringSubmatch(ref)
	provider, kind, key := parts[1], parts[2], parts[3]
	if tokens == nil {
		return "", errors.New("the platform sent no API token")
	}
	token, err := tokens.Token(ctx)
	if err != nil {
		return "", err
	}
	data, err := api.sendRequest(ctx, http.MethodGet, "/internal/variable/runtime/"+percentEncode(provider)+"/"+percentEncode(key), token, nil, 1<<20)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data *string `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Data == nil {
		return "", errors.New("ThreatConnect's answer holds no value")
	}
	return variableText(*answer.Data, kind, whole)
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
