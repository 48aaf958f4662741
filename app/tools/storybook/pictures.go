package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/chromedp/chromedp"
)

// pictures are those of the README, by the name of their file.
var pictures = []struct {
	file, story   string
	width, height int64
}{
	{"jobs.png", "jobs-workday", 1366, 660},
	{"configure.png", "configure-workday", 1366, 470},
	{"activity.png", "activity-month", 1366, 930},
}

// takePictures writes the README's pictures to folder. They take a minute at most.
func takePictures(ctx context.Context, folder string) error {
	server := httptest.NewServer(newHandler())
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("hide-scrollbars", true), chromedp.Env("TZ=UTC"))
	allocator, end := chromedp.NewExecAllocator(ctx, options...)
	defer end()
	tab, closeTab := chromedp.NewContext(allocator)
	defer closeTab()
	for _, p := range pictures {
		var taken []byte
		err := chromedp.Do(tab, chromedp.EmulateViewport(p.width, p.height), chromedp.Navigate(server.URL+"/light/ui/"+p.story))
		if err == nil {
			taken, err = chromedp.Run(tab, chromedp.CaptureScreenshot())
		}
		if err == nil {
			taken, err = shrinkPicture(taken)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, p.file), taken, 0o644)
		}
		if err != nil {
			return fmt.Errorf("taking the picture %s: %w", p.file, err)
		}
		fmt.Printf("%s: %d bytes\n", filepath.Join(folder, p.file), len(taken))
	}
	return nil
}

// shrinkPicture keeps 256 colours, and gives each other colour the nearest of them: a screen has few colours, besides those at
// the edges of letters.
func shrinkPicture(data []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	box := full.Bounds()
	small := image.NewPaletted(box, commonColours(full))
	nearest := map[color.RGBA]uint8{}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			c := toRGBA(full.At(x, y))
			index, known := nearest[c]
			if !known {
				index = uint8(small.Palette.Index(c))
				nearest[c] = index
			}
			small.SetColorIndex(x, y, index)
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, small); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// commonColours are up to 256 that can be told apart and that a picture has most of, in an order that depends on nothing else.
func commonColours(picture image.Image) color.Palette {
	box, counts := picture.Bounds(), map[color.RGBA]int{}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			counts[toRGBA(picture.At(x, y))]++
		}
	}
	var all []color.RGBA
	for c := range counts {
		all = append(all, c)
	}
	weight := func(c color.RGBA) int { return int(c.R)<<16 | int(c.G)<<8 | int(c.B) }
	slices.SortFunc(all, func(a, b color.RGBA) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return weight(a) - weight(b)
	})
	palette := color.Palette{}
	for _, c := range all {
		alike := func(known color.Color) bool { return measureDistance(c, toRGBA(known)) < 24 }
		if len(palette) < 256 && !slices.ContainsFunc(palette, alike) {
			palette = append(palette, c)
		}
	}
	return palette
}

// measureDistance is how far two colours are apart, from 0 to 765.
func measureDistance(a, b color.RGBA) int {
	apart := func(a, b uint8) int { return max(int(a), int(b)) - min(int(a), int(b)) }
	return apart(a.R, b.R) + apart(a.G, b.G) + apart(a.B, b.B)
}

func toRGBA(c color.Color) color.RGBA {
	r, g, b, a := c.RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)}
}
