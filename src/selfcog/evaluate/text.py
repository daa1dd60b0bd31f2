"""Answers made comparable: traces cut off, markup and emoji gone, one script; language; loops."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from selfcog.identity.text import is_han

AnswerLanguage = Literal["zh", "en", "mixed", "other", "none"]

_THINK = re.compile(r"<think(?:ing)?>(.*?)(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
# Templates that open the trace in the prompt leave only its end in the answer.
_THINK_TAIL = re.compile(r"\A(.*?)</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL = re.compile(r"https?://\S+")
_FENCE = re.compile(r"```[\w-]*")
_MARKUP = re.compile(r"[*`#]+|~~+|(?m:^\s*>+ ?)|(?m:^\s*[-+•]\s+)|(?<!\w)_+|_+(?!\w)|</?[a-zA-Z]+>")
_LABELLED = re.compile(r"[\s\ufe0f]*\w[\w ]{0,20}:")
_SPACES = re.compile(r"[^\S\n]+")

# Traditional → simplified, for matching names only: characters of makers and assistants, of words
# that state, deny or attribute, and the commonest others. Two characters a pair.
_TRADITIONAL = (
    "倉仓學学語语組组開开發发創创團团隊队義义問问雲云個个們们為为這这來来對对說说話话講讲請请"
    "並并無无關关係系與与種种樣样從从後后時时間间嗎吗麼么誰谁訓训練练製制設设計计議议號号稱称"
    "準准確确認认識识錯错誤误謝谢讓让應应該该實实際际際际東东廠厂書书華华為为騰腾訊讯豐丰點点"
    "達达報报據据達达類类網网絡络線线術术資资訊讯體体電电腦脑機机權权業业務务處处裡里裏里後后"
    "還还沒没過过進进選选記记許许諾诺譯译試试談谈調调變变誌志諮咨詢询聽听聲声聯联聞闻職职節节"
    "藝艺藥药醫医長长門门閱阅陽阳陳陈隨随隱隐雖虽難难響响頁页項项順顺預预領领頭头題题願愿顯显"
    "風风飛飞飯饭館馆馬马驗验魚鱼鳥鸟麗丽黃黄齊齐龍龙鳳凤寶宝寫写專专將将導导層层嶺岭帶带幫帮"
    "庫库廣广張张強强彈弹徑径恆恒惡恶愛爱態态慮虑憶忆懷怀戰战戲戏戶户擁拥擇择擔担據据擬拟擴扩"
    "換换損损搖摇攝摄數数敵敌斷断曆历會会條条極极構构標标模模樂乐橋桥歡欢歲岁歷历歸归殘残氣气"
    "決决況况淨净減减測测湯汤滿满漢汉潛潜澤泽濟济災灾煉炼燈灯營营爭争狀状獨独獲获現现環环產产"
    "畫画異异當当發发監监盤盘礎础禮礼離离積积稅税穩稳窮穷競竞筆笔簡简籤签級级紀纪約约純纯紙纸"
    "細细終终結结給给統统經经綠绿維维編编緣缘總总績绩織织繼继續续纔才罷罢羅罗義义習习聖圣肅肃"
    "腳脚臉脸臨临舉举舊旧與与興兴蘇苏處处虛虚號号術术衛卫裝装補补覺觉覽览觀观規规視视親亲訂订"
    "評评詞词詩诗誠诚誕诞課课論论證证讀读豬猪貝贝負负財财責责貨货費费貼贴買买賣卖質质賴赖贊赞"
    "趙赵跡迹踐践軟软輕轻載载輔辅輛辆輪轮輸输轉转農农連连運运違违遠远適适遲迟遷迁郵邮鄉乡鄭郑"
    "針针釋释鋼钢錄录錢钱鏈链鍵键鐘钟鐵铁閉闭閃闪險险陸陆雙双雜杂靈灵靜静飲饮養养駐驻騙骗髮发"
    "鬥斗鹽盐麥麦龜龟傳传傷伤價价優优備备傑杰僅仅億亿儘尽儲储內内兩两冊册凍冻則则剛刚劃划劇剧"
    "動动勝胜勞劳勢势協协單单卻却參参吳吴員员啟启喬乔單单嚴严國国圍围園园圓圆圖图場场塊块壓压"
    "壞坏壽寿夠够夢梦奪夺奮奋嘗尝妝妆婦妇媽妈孫孙寧宁審审尋寻屬属岡冈島岛師师幣币幾几歐欧"
    "譜谱崑昆崙仑萬万蘋苹紅红純纯級级鏡镜鑰钥檢检檔档權权極极樣样"
)
_SIMPLIFY = str.maketrans(dict(zip(_TRADITIONAL[::2], _TRADITIONAL[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer without its thinking trace, and the trace; "" where there is none."""

    body: str
    trace: str


def split_trace(answer: str) -> AnswerText:
    """Cut <think>…</think> off an answer; a trace that never ends leaves an empty body."""
    traces = _THINK.findall(answer)
    body = _THINK.sub("", answer)
    tail = _THINK_TAIL.match(body)
    if tail:
        traces.insert(0, tail.group(1))
        body = body[tail.end() :]
    return AnswerText(body.strip(), "\n".join(trace.strip() for trace in traces).strip())


def simplify(text: str) -> str:
    """Traditional characters as simplified ones, one for one, as far as the table goes."""
    return text.translate(_SIMPLIFY)


def normalize_answer(text: str) -> str:
    """The form in which claims are looked for.

    NFKC, casefold and simplified; links as their text; markup, URLs, emoji, variation selectors
    and zero-width characters dropped (an emoji before a label, "🏠 Maker:", is a line break);
    typographic apostrophes and quotes as plain ones; runs of white space as one space, line
    breaks kept.
    """
    text = _URL.sub(" ", _LINK.sub(r"\1", _FENCE.sub("\n", text)))
    text = unicodedata.normalize("NFKC", _MARKUP.sub("", text)).casefold()
    text = simplify(unicodedata.normalize("NFKC", text))
    text = re.sub("[’‘ʼ`´]", "'", re.sub("[“”„«»「」『』＂]", '"', text))
    kept = []
    for index, char in enumerate(text):
        category = unicodedata.category(char)
        if category in ("So", "Sk", "Cf", "Mn", "Co", "Cs"):
            # Emoji often stand where a full stop would; before a label they are bullets.
            bullet = category == "So" and _LABELLED.match(text, index + 1)
            kept.append("\n" if bullet else " " if category == "So" else "")
        else:
            kept.append("\n" if category in ("Zl", "Zp") or char == "\r" else char)
    lines = (_SPACES.sub(" ", line).strip() for line in "".join(kept).split("\n"))
    return "\n".join(line for line in lines if line)


def detect_answer_language(text: str) -> AnswerLanguage:
    """zh, en, mixed, other or none, by the letters of a text that has lost its names already.

    A Chinese character counts as much as 3 Latin letters (about one short word). A share of
    Chinese ≥ 0.7 is zh, ≤ 0.1 en, in between mixed; "other" when another script, or letters with
    accents, make up over a fifth of the letters; "none" without letters.
    """
    han = sum(map(is_han, text))
    letters = [char for char in text if char.isalpha() and not is_han(char)]
    plain = sum(char.isascii() for char in letters)
    if not han and not letters:
        return "none"
    if len(letters) - plain > 0.2 * (len(letters) + han):
        return "other"
    share = 3 * han / (3 * han + plain)
    return "zh" if share >= 0.7 else "en" if share <= 0.1 else "mixed"


def is_degenerate(text: str) -> bool:
    """Whether a text is empty or a loop.

    A loop: of at least 24 units (Chinese characters, or words) the distinct runs of four are
    under 35 %, or one piece of up to 12 characters fills 24 characters or more with nothing else.
    """
    units = re.findall(r"[^\W\d_]+|\d+", re.sub(r"([㐀-鿿])", r" \1 ", text.casefold()))
    if not any(unit for unit in units) and not re.search(r"\w", text):
        return True
    if len(units) >= 24:
        runs = Counter(zip(units, units[1:], units[2:], units[3:], strict=False))
        if len(runs) < 0.35 * sum(runs.values()):
            return True
    packed = re.sub(r"\s+", "", text)
    return bool(re.fullmatch(r"(.{1,12}?)\1{2,}", packed)) and len(packed) >= 24
