package simulation

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// The oracle must not share a mistake with the product.
func TestOracleStandsApart(t *testing.T) {
	for _, path := range []string{"oracle_test.go", "../expected/mapping.go", "../expected/settings.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			name := strings.Trim(i.Path.Value, `"`)
			if strings.HasPrefix(name, "mssentinel/") && name != "mssentinel/app/expected" && name != "mssentinel/app/standin/tcserver" {
				t.Errorf("%s imports %s", path, name)
			}
		}
	}
}
