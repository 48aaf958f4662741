package pipeline

import (
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// A page is needed until all of its chunks are done with it.
func TestPageIsFreedWithItsLastChunk(t *testing.T) {
	chunks := make(chan *chunk, 3)
	r := &reader{attempt: newAttempt(t.Context(), job.Job{}, nil, new(disk), 0), handover: handover{newTask(aboutDownloader), chunks}}
	read := pages{r: r, query: store.RunQuery{Query: store.Query{Rank: 1}}}
	if err := read.handlePage(threatconnect.Page{Indicators: make([]threatconnect.Indicator, 2*chunkSize+1)}); err != nil {
		t.Fatal(err)
	}
	for left := int32(2); left >= 0; left-- {
		k := <-chunks
		k.dropIndicators()
		k.dropIndicators()
		if n := k.page.chunks.Load(); n != left || k.indicators != nil {
			t.Errorf("%d chunks need the page, not %d", n, left)
		}
	}
}
