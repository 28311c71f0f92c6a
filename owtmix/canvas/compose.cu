// Draws whole frames in one launch, in whole numbers only: on a card by way of NVRTC or nvcc, on the host by way of a
// C++ compiler with -DON_HOST, from this one source. The tables that it reads are made in sampling.py and launch.py.

#ifdef ON_HOST
#define __device__
#define __global__
#define __restrict__
struct Place { int x, y, z; };
static thread_local Place blockIdx, blockDim, threadIdx;
#endif

#ifndef FRAMES
#define FRAMES 1  // how many a launch can draw
#endif
#define ITEMS 72

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long long u64;

enum Kind { PICTURE = 0, CARD = 1, OVERLAY = 2 };  // the first two are opaque

// Offsets, in ints from the start of the geometry, of n first samples and of taps rows of n weights.
struct Axis {
    int count, taps, first, weights;
};

// How a picture becomes part of a tile. Along and down are those of the canvas; columns and rows the source's.
struct Geometry {
    int left, top, right, bottom;  // where the picture lies on the canvas; the rest of its tile is black
    int turned;                    // the source's columns run down the canvas
    int wide;                      // samples are 16 bits wide
    int low;                       // bits below the sample's own
    int step;                      // from one chroma sample of a row to the next, in samples
    int shift;                     // brings a row's sum to 15 bits
    int recoloured;
    int black;                     // the source's, of luma
    int matrix[7];                 // luma from luma, Cb and Cr; Cb from Cb and Cr; Cr from Cb and Cr
    Axis luma[2], chroma[2];       // along and down
};

struct Item {
    u64 y, u, v;         // a picture's samples, or an overlay's pairs of what to keep and what to add
    u64 geometry;        // of a picture
    u16 left, top, right, bottom;
    u16 pitch, chroma_pitch;  // in bytes
    u16 kind, spare;
};

struct Frame {
    u64 y, u, v;
    int pitch, chroma_pitch, step, count;  // step: from one chroma sample of a row to the next
    Item items[ITEMS];                     // back to front
};

struct Batch {
    int width, height, background[3], spare;
    Frame frames[FRAMES];
};

struct Block {  // two by two pixels
    int y[4], u, v;
};

static __device__ inline int clip(int value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

template <class Sample>
static __device__ inline int sum(const Geometry &g, u64 plane, int pitch, int step, const Axis &columns, int column,
                                 const Axis &rows, int row) {
    const int *__restrict__ table = (const int *)&g;
    const int *__restrict__ across = table + columns.weights + column;
    const int *__restrict__ down = table + rows.weights + row;
    const u8 *line = (const u8 *)plane + (long long)table[rows.first + row] * pitch;
    const int start = table[columns.first + column] * step;
    int total = 0;
    for (int j = 0; j < rows.taps; j++, line += pitch) {
        const Sample *__restrict__ sample = (const Sample *)line + start;
        int part = 0;
        for (int i = 0; i < columns.taps; i++) part += (sample[i * step] >> g.low) * across[i * columns.count];
        total += ((part + (1 << (g.shift - 1))) >> g.shift) * down[j * rows.count];
    }
    return clip((total + (1 << 20)) >> 21);
}

static __device__ inline int sampled(const Geometry &g, u64 plane, int pitch, int step, const Axis *axes, int along,
                                     int down) {
    const Axis &columns = axes[g.turned], &rows = axes[1 - g.turned];
    const int column = g.turned ? down : along, row = g.turned ? along : down;
    return g.wide ? sum<u16>(g, plane, pitch, step, columns, column, rows, row)
                  : sum<u8>(g, plane, pitch, step, columns, column, rows, row);
}

static __device__ inline void recolour(const Geometry &g, Block &block) {
    const int *m = g.matrix, half = 1 << 13;
    const int u = block.u - 128, v = block.v - 128, tint = m[1] * u + m[2] * v + half + (16 << 14);
    for (int i = 0; i < 4; i++) block.y[i] = clip((m[0] * (block.y[i] - g.black) + tint) >> 14);
    block.u = clip((m[3] * u + m[4] * v + half + (128 << 14)) >> 14);
    block.v = clip((m[5] * u + m[6] * v + half + (128 << 14)) >> 14);
}

static __device__ inline void draw_picture(const Item &item, int x, int y, Block &block) {
    const Geometry &g = *(const Geometry *)item.geometry;
    if (x < g.left || x >= g.right || y < g.top || y >= g.bottom) {
        for (int i = 0; i < 4; i++) block.y[i] = 16;
        block.u = block.v = 128;
        return;
    }
    const int along = x - g.left, down = y - g.top;
    for (int i = 0; i < 4; i++)
        block.y[i] = sampled(g, item.y, item.pitch, 1, g.luma, along + (i & 1), down + (i >> 1));
    block.u = sampled(g, item.u, item.chroma_pitch, g.step, g.chroma, along / 2, down / 2);
    block.v = sampled(g, item.v, item.chroma_pitch, g.step, g.chroma, along / 2, down / 2);
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

// All edges are even, so that every block of two by two pixels belongs to one item alone.
extern "C" __global__ void compose(const Batch batch) {
    const int x = 2 * (int)(blockIdx.x * blockDim.x + threadIdx.x), y = 2 * (int)(blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= batch.width || y >= batch.height) return;
    const Frame &frame = batch.frames[blockIdx.z];
    int top = frame.count - 1;
    while (top >= 0 && !(frame.items[top].kind != OVERLAY && covers(frame.items[top], x, y))) top--;
    const int *ground = batch.background;
    Block block = {{ground[0], ground[0], ground[0], ground[0]}, ground[1], ground[2]};
    if (top >= 0 && frame.items[top].kind == PICTURE)
        draw_picture(frame.items[top], x, y, block);
    else if (top >= 0)
        draw_overlay(frame.items[top], x, y, block);
    for (int i = top + 1; i < frame.count; i++)
        if (covers(frame.items[i], x, y)) draw_overlay(frame.items[i], x, y, block);
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
