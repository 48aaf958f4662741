package web

import (
	"context"

	"mssentinel/app/mask"
	"mssentinel/app/pipeline"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

// maskedPipeline gives the texts of a pipeline, which repeat what others said, as the screens and scripts may have them:
// masked as the log is, bounded, and without hidden characters. What is read from the store was made so before it was kept.
type maskedPipeline struct{ Pipeline }

func (p maskedPipeline) Trouble() string { return showText(p.Pipeline.Trouble()) }

func (p maskedPipeline) Progress() pipeline.Progress {
	progress := p.Pipeline.Progress()
	progress.WaitReason = showText(progress.WaitReason)
	return progress
}

func (p maskedPipeline) Tasks() []pipeline.Task {
	tasks := p.Pipeline.Tasks()
	for i := range tasks {
		tasks[i].Detail = showText(tasks[i].Detail)
	}
	return tasks
}

func (p maskedPipeline) Preview(ctx context.Context, q threatconnect.Query) (pipeline.Preview, error) {
	preview, err := p.Pipeline.Preview(ctx, q)
	for i := range preview.Problems {
		preview.Problems[i] = showText(preview.Problems[i])
	}
	return preview, err
}

// maxShownText bounds in bytes a text of the pipeline.
const maxShownText = 4 << 10

func showText(s string) string { return text.Cut(mask.Text(s), maxShownText) }
