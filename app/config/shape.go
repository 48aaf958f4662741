package config

import (
	"bytes"
	"slices"
	"strings"

	"mssentinel/app/jsonscan"
	"mssentinel/app/platform"
)

// maxParameters bounds how many parameters are described.
const maxParameters = 500

// describeParameters says what came in the parameter file and what of ours did not, without a value. It is sorted by name.
func describeParameters(file paramFile, known []input) []platform.Parameter {
	if !file.named {
		return nil
	}
	var all []platform.Parameter
	for name, raw := range file.values {
		p := platform.Parameter{Name: name, Type: jsonscan.Kind(firstByte(raw)), Form: "set"}
		switch text, err := scalarText(raw); {
		case err == nil && strings.TrimSpace(text) == "":
			p.Form = "empty"
		case hasReference(text):
			p.Form = "a reference"
		}
		all = append(all, p)
	}
	for _, in := range known {
		if _, sent := file.values[in.name]; !sent && !in.environmentOnly {
			all = append(all, platform.Parameter{Name: in.name, Form: "missing"})
		}
	}
	slices.SortFunc(all, func(a, b platform.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(len(all), maxParameters)]
}

// firstByte is the first byte of a JSON value, which is never empty.
func firstByte(raw []byte) byte { return bytes.TrimLeft(raw, " \t\r\n")[0] }
