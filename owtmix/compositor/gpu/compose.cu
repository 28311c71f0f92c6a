// Draws whole output frames in one launch, in integer arithmetic only. NVRTC or nvcc compile it for the GPU, a C++
// compiler with -DON_HOST for the host. kernel_tables.py makes Geometry, kernel_args.py the other structs.

#ifdef ON_HOST
#define __device__
#define __global__
#define __restrict__
struct Place { int x, y, z; };
static thread_local Place blockIdx, blockDim, threadIdx;
#endif

#ifndef FRAMES
#define FRAMES 1  // drawn by a launch
#endif
#define ITEMS 72

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long long u64;

enum Kind { VIDEO = 0, OPAQUE = 1, OVERLAY = 2 };  // a tile with video, an opaque overlay, a blended overlay

// Filter taps of one axis. Offsets, in ints from the start of Geometry: first, of the first source sample of each of
// count target samples; weights, of taps rows of count weights.
struct Axis {
    int count, taps, first, weights;
};

// How a video frame is drawn in a tile. Along and down are directions of the canvas, columns and rows of the source.
struct Geometry {
    int left, top, right, bottom;  // target on the canvas; the rest of the tile is black
    int turned;                    // the source's columns run down the canvas (a turn by 90 degrees)
    int wide;                      // samples take 16 bits
    int low;                       // unused low bits of a sample
    int step;                      // samples from one chroma sample of a row to the next
    int shift;                     // reduces the sum of a row to 15 bits
    int recoloured;                // matrix applies
    int black;                     // luma of black in the source
    int matrix[7];                 // luma from luma, Cb and Cr; Cb from Cb and Cr; Cr from Cb and Cr
    Axis luma[2], chroma[2];       // along, down
};

struct Item {
    u64 y, u, v;         // addresses of samples, or of an overlay's pairs (keep, add)
    u64 geometry;        // address; VIDEO only
    u16 left, top, right, bottom;
    u16 pitch, chroma_pitch;  // in bytes
    u16 kind, corner;         // corner: radius of its round corners, in pixels; 0 for none
};

struct Frame {
    u64 y, u, v;
    int pitch, chroma_pitch, step, count;  // step: bytes from one chroma sample of a row to the next
    Item items[ITEMS];                     // back to front
};

struct Batch {
    int width, height, background[3], padding;
    Frame frames[FRAMES];
};

struct Block {  // 2x2 pixels
    int y[4], u, v;
};

static __device__ inline int clip(int value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

// Two filtered samples of the same column: of two rows of a plane, or of the same row of two planes. line and other
// point to the first source rows.
template <class Sample>
static __device__ inline void sum(const Geometry &g, const u8 *line, const u8 *other, int pitch, int step,
                                  const Axis &columns, int column, const Axis &rows, int row, int other_row, int &result,
                                  int &other_result) {
    const int *__restrict__ table = (const int *)&g;
    const int *__restrict__ across = table + columns.weights + column;
    const int *__restrict__ down = table + rows.weights + row;
    const int *__restrict__ other_down = table + rows.weights + other_row;
    const int start = table[columns.first + column] * step, half = 1 << (g.shift - 1);
    int total = 1 << 20, other_total = 1 << 20;
    for (int j = 0; j < rows.taps; j++, line += pitch, other += pitch) {
        const Sample *__restrict__ sample = (const Sample *)line + start;
        const Sample *__restrict__ other_sample = (const Sample *)other + start;
        int part = half, other_part = half;
        for (int i = 0; i < columns.taps; i++) {
            const int weight = across[i * columns.count];
            part += (sample[i * step] >> g.low) * weight;
            other_part += (other_sample[i * step] >> g.low) * weight;
        }
        total += (part >> g.shift) * down[j * rows.count];
        other_total += (other_part >> g.shift) * other_down[j * rows.count];
    }
    result = clip(total >> 21);
    other_result = clip(other_total >> 21);
}

template <class Sample>
static __device__ inline void sample(const Geometry &g, const Item &item, int along, int down, Block &block) {
    const int *__restrict__ table = (const int *)&g;
    const int turned = g.turned;
    {
        const Axis &columns = g.luma[turned], &rows = g.luma[1 - turned];
        const int column = turned ? down : along, row = turned ? along : down;
        const u8 *line = (const u8 *)item.y + (long long)table[rows.first + row] * item.pitch;
        const u8 *other = (const u8 *)item.y + (long long)table[rows.first + row + 1] * item.pitch;
        const int next = turned ? 2 : 1, across = turned ? 1 : 2;  // index steps in the block, to the next column and row
        for (int i = 0; i < 2; i++)
            sum<Sample>(g, line, other, item.pitch, 1, columns, column + i, rows, row, row + 1, block.y[i * next],
                        block.y[i * next + across]);
    }
    const Axis &columns = g.chroma[turned], &rows = g.chroma[1 - turned];
    const int column = (turned ? down : along) / 2, row = (turned ? along : down) / 2;
    const long long start = (long long)table[rows.first + row] * item.chroma_pitch;
    sum<Sample>(g, (const u8 *)item.u + start, (const u8 *)item.v + start, item.chroma_pitch, g.step, columns, column,
                rows, row, row, block.u, block.v);
}

static __device__ inline void recolour(const Geometry &g, Block &block) {
    const int *m = g.matrix, half = 1 << 13;
    const int u = block.u - 128, v = block.v - 128, tint = m[1] * u + m[2] * v + half + (16 << 14);
    for (int i = 0; i < 4; i++) block.y[i] = clip((m[0] * (block.y[i] - g.black) + tint) >> 14);
    block.u = clip((m[3] * u + m[4] * v + half + (128 << 14)) >> 14);
    block.v = clip((m[5] * u + m[6] * v + half + (128 << 14)) >> 14);
}

static __device__ inline void draw_video(const Item &item, int x, int y, Block &block) {
    const Geometry &g = *(const Geometry *)item.geometry;
    if (x < g.left || x >= g.right || y < g.top || y >= g.bottom) {
        for (int i = 0; i < 4; i++) block.y[i] = 16;
        block.u = block.v = 128;
        return;
    }
    if (g.wide)
        sample<u16>(g, item, x - g.left, y - g.top, block);
    else
        sample<u8>(g, item, x - g.left, y - g.top, block);
    if (g.recoloured) recolour(g, block);
}

static __device__ inline int blended(u64 plane, int pitch, int x, int y, int under) {
    const u16 *pair = (const u16 *)((const u8 *)plane + (long long)y * pitch) + 2 * x;
    return (pair[0] * under + pair[1]) >> 8;
}

static __device__ inline void draw_overlay(const Item &item, int x, int y, Block &block) {
    const int along = x - item.left, down = y - item.top;
    for (int i = 0; i < 4; i++)
        block.y[i] = blended(item.y, item.pitch, along + (i & 1), down + (i >> 1), block.y[i]);
    block.u = blended(item.u, item.chroma_pitch, along / 2, down / 2, block.u);
    block.v = blended(item.v, item.chroma_pitch, along / 2, down / 2, block.v);
}

static __device__ inline bool covers(const Item &item, int x, int y) {
    return x >= item.left && x < item.right && y >= item.top && y < item.bottom;
}

// How far the samples of a pixel begin from the middle of the round corner that it lies in, in eighths; -1 between corners.
static __device__ inline int from_middle(int at, int start, int end, int corner, int &step) {
    step = at < start + corner ? -2 : 2;
    if (at < start + corner) return 8 * (start + corner - at) - 1;
    return at >= end - corner ? 8 * (at - (end - corner)) + 1 : -1;
}

// Of 16 samples of a pixel, how many lie in an item with round corners.
static __device__ inline int samples_in(const Item &item, int x, int y) {
    int across_step, down_step;
    const int across = from_middle(x, item.left, item.right, item.corner, across_step);
    const int down = from_middle(y, item.top, item.bottom, item.corner, down_step);
    if (across < 0 || down < 0) return 16;
    int count = 0;
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++) {
            const int dx = across + i * across_step, dy = down + j * down_step;
            count += dx * dx + dy * dy <= 64 * item.corner * item.corner;
        }
    return count;
}

// Whether any pixel of a block may lie outside of the item, which covers the block.
static __device__ inline bool is_cut(const Item &item, int x, int y) {
    if (!item.corner) return false;
    for (int i = 0; i < 4; i++)
        if (samples_in(item, x + (i & 1), y + (i >> 1)) < 16) return true;
    return false;
}

static __device__ inline int mixed(int part, int over, int under) {  // part of 256
    return (part * over + (256 - part) * under + 128) >> 8;
}

static __device__ inline void draw(const Item &item, int x, int y, Block &block) {
    if (item.kind == VIDEO)
        draw_video(item, x, y, block);
    else
        draw_overlay(item, x, y, block);
}

// An item through whose round corners what lies beneath is seen.
static __device__ inline void draw_cut(const Item &item, int x, int y, Block &block) {
    Block over = block;
    draw(item, x, y, over);
    int total = 0;
    for (int i = 0; i < 4; i++) {
        const int count = samples_in(item, x + (i & 1), y + (i >> 1));
        block.y[i] = mixed(16 * count, over.y[i], block.y[i]);
        total += 4 * count;
    }
    block.u = mixed(total, over.u, block.u);
    block.v = mixed(total, over.v, block.v);
}

// One thread per block of 2x2 pixels. All edges are even, so that an item covers a block wholly or not at all.
extern "C" __global__ void compose(const Batch batch) {
    const int x = 2 * (int)(blockIdx.x * blockDim.x + threadIdx.x), y = 2 * (int)(blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= batch.width || y >= batch.height) return;
    const Frame &frame = batch.frames[blockIdx.z];
    int top = frame.count - 1;
    while (top >= 0 && !(frame.items[top].kind != OVERLAY && covers(frame.items[top], x, y) &&
                         !is_cut(frame.items[top], x, y)))
        top--;
    const int *ground = batch.background;
    Block block = {{ground[0], ground[0], ground[0], ground[0]}, ground[1], ground[2]};
    if (top >= 0) draw(frame.items[top], x, y, block);
    for (int i = top + 1; i < frame.count; i++)
        if (covers(frame.items[i], x, y)) {
            if (frame.items[i].corner)
                draw_cut(frame.items[i], x, y, block);
            else
                draw_overlay(frame.items[i], x, y, block);
        }
    for (int i = 0; i < 4; i++)
        *((u8 *)frame.y + (long long)(y + (i >> 1)) * frame.pitch + x + (i & 1)) = (u8)block.y[i];
    const long long chroma = (long long)(y / 2) * frame.chroma_pitch + x / 2 * frame.step;
    ((u8 *)frame.u)[chroma] = (u8)block.u;
    ((u8 *)frame.v)[chroma] = (u8)block.v;
}

#ifdef ON_HOST
extern "C" void compose_on_host(const Batch *batch, int frames) {
    blockDim = {32, 8, 1};
    for (int frame = 0; frame < frames; frame++)
        for (int block_y = 0; block_y < (batch->height / 2 + 7) / 8; block_y++)
            for (int block_x = 0; block_x < (batch->width / 2 + 31) / 32; block_x++)
                for (int thread = 0; thread < 32 * 8; thread++) {
                    blockIdx = {block_x, block_y, frame};
                    threadIdx = {thread % 32, thread / 32, 0};
                    compose(*batch);
                }
}
#endif
