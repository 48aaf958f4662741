package web

import (
	"fmt"
	"net/http"
	"testing"
)

// BenchmarkEdit answers buttons of Edit mode over a list as long as it may be.
func BenchmarkEdit(b *testing.B) {
	w := twoSaved()
	w.queries = nil
	for i := range maxQueries {
		w.queries = append(w.queries, oneSaved(fmt.Sprintf("q-%d", i), fmt.Sprintf(`rating > %d and summary contains "example-%d"`, i%5, i)))
	}
	form, h := w.editFields(b), w.handler()
	for _, action := range []string{"add", "save", "up:250"} {
		b.Run(action, func(b *testing.B) {
			form.Set("action", action)
			for b.Loop() {
				if rec := postForm(b, h, "/ui/edit", form); rec.Code != http.StatusOK {
					b.Fatalf("%d %.300s", rec.Code, rec.Body)
				}
			}
		})
	}
}
