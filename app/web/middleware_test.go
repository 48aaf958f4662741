package web

import (
	"context"
	"net/http"
	"testing"

	"mssentinel/app/threatconnect"
)

// Updates give way while an answer is made, and no longer, also when what makes it fails.
func TestPagesGoFirst(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fails  bool
		status int
	}{{"a page", false, http.StatusOK}, {"a page that fails", true, http.StatusInternalServerError}} {
		t.Run(tt.name, func(t *testing.T) {
			w := twoSaved()
			var during int64
			w.owners = func(context.Context) ([]threatconnect.Owner, error) {
				during = w.pages.Load()
				if tt.fails {
					panic("a fault")
				}
				return nil, nil
			}
			if rec := call(t, w.handler(), http.MethodGet, "/api/tc_info", ""); rec.Code != tt.status {
				t.Errorf("status %d, want %d", rec.Code, tt.status)
			}
			if during != 1 || w.pages.Load() != 0 {
				t.Errorf("%d pages under way meanwhile and %d after, want 1 and 0", during, w.pages.Load())
			}
		})
	}
}
