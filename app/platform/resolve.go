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
	"strings"
)

// reference is a ThreatConnect variable that the platform left for the App to resolve, spec §1.5.
var reference = regexp.MustCompile(`&\{(TC|Vault):(TEXT|KEYCHAIN|FILE):([A-Za-z0-9_.\-\[\]]+)\}`)

// Resolve returns inputs (name → value) with every variable reference replaced by what ThreatConnect holds for it. The
// error joins all that could not be resolved, each with the name of its input. Without references nothing is asked, and
// tokens may be nil.
func Resolve(ctx context.Context, inputs map[string]string, api API, tokens *TokenSource) (map[string]string, error) {
	out := maps.Clone(inputs)
	known := map[string]string{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		for _, match := range reference.FindAllStringSubmatch(inputs[name], -1) {
			ref, provider, kind, key := match[0], match[1], match[2], match[3]
			value, ok := known[ref]
			if !ok {
				var err error
				if value, err = lookUp(ctx, api, tokens, provider, key); err != nil {
					faults = append(faults, fmt.Errorf("%s refers to the ThreatConnect variable %s, which could not be resolved (%w). Choose another variable or type the value in", name, ref, err))
					continue
				}
				known[ref] = value
			}
			plain, err := expand(value, kind, out[name] == ref)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s refers to the ThreatConnect variable %s, whose content is damaged: %w", name, ref, err))
				continue
			}
			out[name] = strings.Replace(out[name], ref, plain, 1)
		}
	}
	return out, errors.Join(faults...)
}

// expand turns a variable's data into text. A file comes in base64; inside a longer value it is only hinted at.
func expand(value, kind string, whole bool) (string, error) {
	if kind != "FILE" {
		return value, nil
	}
	if !whole {
		return "<file>", nil
	}
	data, err := base64.StdEncoding.DecodeString(value)
	return string(data), err
}

func lookUp(ctx context.Context, api API, tokens *TokenSource, provider, key string) (string, error) {
	if tokens == nil {
		return "", errors.New("the platform sent no API token")
	}
	token, err := tokens.Token(ctx)
	if err != nil {
		return "", err
	}
	data, err := api.do(ctx, http.MethodGet, "/internal/variable/runtime/"+escape(provider)+"/"+escape(key), token, nil, 1<<20)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data *string `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Data == nil {
		return "", errors.New("ThreatConnect's answer holds no value")
	}
	return *answer.Data, nil
}
