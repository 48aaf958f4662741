// Package templates draws the screens: one templ file each, the frame around them, and the static files they use.
// It knows the view structs in this package and nothing of where they come from. All URLs are relative.
package templates

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
)

//go:generate templ generate

//go:embed static
var files embed.FS

// ContentSecurityPolicy is what the pages are made for: nothing inline, nothing from elsewhere.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"

// contentHash names the folder of the static files: what changes gets a new address, so that a browser may keep what it has.
var contentHash = hashFiles()

func hashFiles() string {
	sum := sha256.New()
	// The files are compiled in: reading them cannot fail.
	_ = fs.WalkDir(files, "static", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		sum.Write([]byte(path))
		sum.Write(content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// Static serves <content hash>/<file> for the static files. An older hash is not found, so that no page mixes versions.
func Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, current := strings.CutPrefix(r.URL.Path, contentHash+"/")
		content, err := files.ReadFile("static/" + name)
		if !current || err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("Content-Type", contentType(name))
		_, _ = w.Write(content) // a reader that has gone needs no answer
	})
}

func contentType(name string) string {
	switch {
	case strings.HasSuffix(name, ".css"):
		return "text/css; charset=utf-8"
	case strings.HasSuffix(name, ".js"):
		return "text/javascript; charset=utf-8"
	case strings.HasSuffix(name, ".svg"):
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// AssetURL is the relative URL of a static file, seen from a page whose way to the Service's root is root.
func AssetURL(root, name string) string { return root + "static/" + contentHash + "/" + name }
