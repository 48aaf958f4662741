package web

import (
	"context"

	"mssentinel/app/ledger"
	"mssentinel/app/mask"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

// maskedPipeline gives the texts of a pipeline, which repeat what others said, as the screens and scripts may have them:
// masked as the log is, bounded, and without hidden characters. What is read from the store was made so before it was kept.
type maskedPipeline struct{ Pipeline }

func (p maskedPipeline) Trouble() string { return showText(p.Pipeline.Trouble()) }

func (p maskedPipeline) Progress() pipeline.Progress {
	progress := p.Pipeline.Progress()
	progress.WaitReason, progress.Blocked = showText(progress.WaitReason), showText(progress.Blocked)
	return progress
}

func (p maskedPipeline) Tasks() []pipeline.Task {
	tasks := p.Pipeline.Tasks()
	for i := range tasks {
		tasks[i].Detail = showText(tasks[i].Detail)
	}
	return tasks
}

func (p maskedPipeline) Overview(ctx context.Context) (pipeline.Overview, error) {
	v, err := p.Pipeline.Overview(ctx)
	v.Silent = showText(v.Silent)
	return v, err
}

func (p maskedPipeline) Preview(ctx context.Context, q threatconnect.Query, settings ledger.Settings) (pipeline.Preview, error) {
	preview, err := p.Pipeline.Preview(ctx, q, settings)
	for i := range preview.Problems {
		preview.Problems[i] = showText(preview.Problems[i])
	}
	for i := range preview.Rows {
		preview.Rows[i].Reason = showText(preview.Rows[i].Reason)
	}
	return preview, err
}

func (p maskedPipeline) LastVerification(ctx context.Context) (store.Verification, error) {
	v, err := p.Pipeline.LastVerification(ctx)
	v.Message = showText(v.Message)
	return v, err
}

// Verification masks what the workspace holds as well: somebody else may have uploaded it.
func (p maskedPipeline) Verification(ctx context.Context) (pipeline.Verification, error) {
	v, err := p.Pipeline.Verification(ctx)
	v.Message = showText(v.Message)
	for i := range v.Types {
		v.Types[i].Type = showText(v.Types[i].Type)
	}
	for i := range v.Examples {
		e := &v.Examples[i]
		e.Name, e.Pattern = showText(e.Name), showText(e.Pattern)
	}
	return v, err
}

// maxShownText bounds in bytes a text of the pipeline.
const maxShownText = 4 << 10

func showText(s string) string { return text.Cut(mask.Text(s), maxShownText) }
