package main

import (
	"context"

	"mssentinel/app/pipeline"
	"mssentinel/app/threatconnect"
	"mssentinel/app/web"
)

// screens shows the pipeline to the screens in their own words: neither package knows the other.
type screens struct{ *pipeline.Pipeline }

func (s screens) Tasks() []web.Task {
	tasks := s.Pipeline.Tasks()
	shown := make([]web.Task, len(tasks))
	for i, t := range tasks {
		shown[i] = web.Task(t)
	}
	return shown
}

func (s screens) Progress() web.Progress { return web.Progress(s.Pipeline.Progress()) }

func (s screens) Preview(ctx context.Context, q threatconnect.Query) (web.Preview, error) {
	p, err := s.Pipeline.Preview(ctx, q)
	return web.Preview(p), err
}
