package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// epoch is the time of every file in the archive, so that building twice gives the same bytes.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (c content) fileMode() fs.FileMode {
	if c.executable {
		return 0o755
	}
	return 0o644
}

// zipFiles returns a ZIP with one folder that holds the files.
func zipFiles(folder string, files []content) ([]byte, error) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	top := &zip.FileHeader{Name: folder + "/", Modified: epoch}
	top.SetMode(fs.ModeDir | 0o755)
	if _, err := archive.CreateHeader(top); err != nil {
		return nil, err
	}
	for _, f := range files {
		header := &zip.FileHeader{Name: folder + "/" + f.name, Method: zip.Deflate, Modified: epoch}
		header.SetMode(f.fileMode())
		w, err := archive.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeFolder writes the files to a fresh folder.
func writeFolder(folder string, files []content) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing what was built before: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.data, f.fileMode()); err != nil {
			return err
		}
	}
	return nil
}
