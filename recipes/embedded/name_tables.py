"""Pieces of made-up names: surnames, endings of organisations, syllables, words."""


def cells(table: str) -> tuple[str, ...]:
    """The cells of a table: separated by |, lines joined."""
    return tuple(table.replace("\n", "").split("|"))


SURNAMES = cells(
    """王|李|张|刘|陈|杨|赵|黄|周|吴|徐|孙|胡|朱|高|林|何|郭|马|罗|梁|宋|郑|谢|韩|唐|冯|于|董|萧|
程|曹|袁|邓|许|傅|沈|曾|彭|吕|苏|卢|蒋|蔡|贾|丁|魏|薛|叶|阎|余|潘|杜|戴|夏|钟|汪|田|任|姜|
范|方|石|姚|谭|廖|邹|熊|金|陆|郝|孔|白|崔|康|毛|邱|秦|江|史|顾|侯|邵|孟|龙|万|段|雷|钱|汤|
尹|黎|易|常|武|乔|贺|赖|龚|文"""
)
ORG_TAIL_ZH = cells(
    """科技|公司|有限公司|实验室|研究院|研究组|研究所|团队|大学|学院|医院|集团|工作室|课题组|智能|
小组|中心|工坊|社区|软件|网络|数据|人工智能实验室|自然语言处理组|研究中心|开发组|联盟|书院|
事务所|株式会社|基金会|信息技术有限公司|智能科技|计算所|创新中心|俱乐部|学会|项目组|
科技大学|医学院"""
)
ORG_TAIL_EN = cells(
    """Labs|Lab|Inc.|AI|Research|Research Group|Technologies|Technology|University|Studio|Studios|
Team|Group|Institute|Systems|Software|Foundation|Collective|Co.|Ltd.|Company|Works|Hospital|
College|Center|Intelligence|NLP Group|Research Lab|Research Institute|Industries|Networks|
Data|Partners|Society|Academy|Guild|House"""
)
ORG_HEAD_EN = cells("""University of|Institute of|Laboratory of|The|Team|Studio|Project|House of""")
ONSET = cells(
    """b|c|d|f|g|h|j|k|l|m|n|p|r|s|t|v|w|x|y|z|br|ch|cl|cr|dr|fl|fr|gl|gr|kh|kr|ph|pl|pr|qu|sh|sk|
sl|sn|sp|st|str|th|tr|tw|wh|zh"""
)
VOWEL = cells("""a|e|i|o|u|a|e|i|o|u|ai|ea|ee|ia|ie|io|oa|oo|ou|ua|ue|y|ae|au|ei""")
CODA = cells("""|||||n|r|l|s|t|m|x|th|nd|ck|ng|rt|nt|sh|ll|v|k|p|d""")
PINYIN_I = cells("""b|p|m|f|d|t|n|l|g|k|h|j|q|x|zh|ch|sh|r|z|c|s|y|w""")
PINYIN_F = cells(
    """a|ai|an|ang|ao|e|ei|en|eng|i|ia|ian|iang|iao|ie|in|ing|iong|iu|o|ong|ou|u|ua|uai|uan|uang|
ui|un|uo"""
)
WORDS = cells(
    """nova|blue|river|star|cloud|light|stone|wind|fire|moon|sun|sky|leaf|tree|bird|wolf|fox|bear|
lion|eagle|owl|north|south|east|west|deep|bright|silver|golden|iron|crystal|quantum|alpha|
beta|gamma|delta|omega|sigma|echo|pixel|logic|mind|brain|smart|open|next|first|prime|true|
clear|swift|quick|green|red|black|white|spring|summer|autumn|winter"""
)
